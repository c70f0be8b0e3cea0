import { isLeaf } from '../language.ts'
import type { Draft } from './draft.ts'

/**
 * Hands each plan its children, numbers the leaf steps in document order from 1, and shares the weight out, equally at each
 * level; what a loop repeats, or a leaf may bring about, has none of its own, nor has what runs when the flow is over. Returns
 * how many leaves there are.
 */
export function numberSteps(root: Draft): number {
  let leaves = 0
  const visit = (draft: Draft, weight: number): void => {
    const { plan, children } = draft
    setUp(draft, weight, leaves + 1)
    if (plan.isLeaf) leaves++
    const share = plan.isLeaf ? 0 : weight / children.length
    for (const child of children) visit(child, child.plan.isRepeated ? 0 : share)
    for (const body of draft.aftermath) visitAside(body, plan.isLeaf ? plan.number : leaves)
  }
  visit(root, 1)
  return leaves
}

/** It counts as no step of the whole: it is shown at the number of the step that it compensates, onFailure at the last. */
function visitAside(draft: Draft, number: number): void {
  setUp(draft, 0, number)
  for (const child of draft.children) visitAside(child, number)
}

function setUp({ plan, children }: Draft, weight: number, number: number): void {
  plan.children = children.map((child) => child.plan)
  plan.isLeaf = isLeaf(plan)
  plan.weight = weight
  plan.number = number
}
