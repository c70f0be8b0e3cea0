import { isLeaf } from '../language.ts'
import type { Draft } from './draft.ts'

/**
 * Hands each plan its children, numbers the leaf steps in document order from 1, and shares the weight out, equally at each
 * level; what a loop repeats, or a deadline brings about, has none of its own, nor has what runs when the flow is over. Returns how many leaves there are.
 */
export function numberSteps(root: Draft): number {
  let leaves = 0
  const visit = (draft: Draft, weight: number): void => {
    const { plan, children } = draft
    plan.children = children.map((child) => child.plan)
    plan.weight = weight
    plan.number = leaves + 1
    if (isLeaf(plan)) leaves++
    const share = plan.type === 'approval' ? 0 : weight / children.length
    for (const child of children) visit(child, child.plan.isRepeated ? 0 : share)
    for (const body of draft.aftermath) visitAside(body, isLeaf(plan) ? plan.number : leaves)
  }
  visit(root, 1)
  return leaves
}

/** It counts as no step of the whole: it is shown at the number of the step that it compensates, onFailure at the last. */
function visitAside({ plan, children }: Draft, number: number): void {
  plan.children = children.map((child) => child.plan)
  plan.weight = 0
  plan.number = number
  for (const child of children) visitAside(child, number)
}
