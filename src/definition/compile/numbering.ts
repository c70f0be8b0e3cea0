import { isLeaf } from '../language.ts'
import type { Draft } from './draft.ts'

/** Numbers the leaf steps in document order from 1 and shares the weight out, equally at each level; returns how many leaves. */
export function numberSteps(root: Draft): number {
  let leaves = 0
  const visit = (draft: Draft, weight: number): void => {
    const { plan, children } = draft
    plan.weight = weight
    plan.number = leaves + 1
    if (isLeaf(plan)) leaves++
    for (const child of children) visit(child, weight / children.length)
  }
  visit(root, 1)
  return leaves
}
