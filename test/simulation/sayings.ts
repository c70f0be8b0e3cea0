import type { Json } from '../../src/definition/json.ts'

/** How people decide an approval: its title tells them, so that a disturbed run comes to what an undisturbed one does. */
export type Verdict = 'approved' | 'rejected' | 'either'

export const titleOf = (verdict: Verdict): string => `to be ${verdict}`

/** What the `nth` of those who decide says. */
export function said(title: string, nth: number): { readonly decision: 'approve' | 'reject'; readonly data: Json } {
  const isApproved = title === titleOf('approved') || (title === titleOf('either') && nth % 2 === 0)
  return isApproved ? { decision: 'approve', data: { amount: 7 } } : { decision: 'reject', data: null }
}

/** The payload of a signal; some that wait take the kind `a` alone. */
export const news = (kind: 'a' | 'b', text: string): Json => ({ news: { kind, text } })
