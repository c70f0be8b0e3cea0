import type { Budget } from './state.ts'
import type { Weakenings } from './weakenings.ts'

const none: Budget = { lost: 0, crash: 0, stall: 0, failover: 0, release: 0, signal: 0 }

/** How much the environment may do in one exploration; each combination is explored completely. */
export const bounds = (given: Partial<Budget>): Budget => ({ ...none, ...given })

/** What `npm test` explores. */
export const everyDay: readonly Budget[] = [
  bounds({ lost: 2, release: 1 }),
  bounds({ crash: 1, lost: 1 }),
  bounds({ crash: 1, signal: 1 }),
  bounds({ stall: 1 }),
]

/** What `npm run model` explores beyond that; it takes minutes and up to 3 GB. */
export const deep: readonly Budget[] = [
  bounds({ lost: 3 }),
  bounds({ crash: 1, signal: 1, lost: 1 }),
  bounds({ signal: 1, release: 1, lost: 1 }),
  bounds({ crash: 2 }),
  bounds({ stall: 1, lost: 1 }),
  bounds({ failover: 1 }),
  bounds({ failover: 1, release: 1 }),
  bounds({ stall: 1, crash: 1 }),
]

export const nameOf = (budget: Budget): string =>
  Object.entries(budget)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ') || 'no faults'

type Needed = readonly [keyof Weakenings, Partial<Budget>, RegExp]

/** What each part of the protocol is for: without it, within these bounds, this happens. */
export const needed: readonly Needed[] = [
  ['noFence', { stall: 1 }, /declared dead, and commits/],
  ['sweepInTheMiddle', { stall: 1 }, /declared dead, and commits/],
  ['revive', { stall: 1 }, /node \d+ (performs|commits).*the owner is/],
  ['claimUnlocked', { stall: 1 }, /declared dead, and is given an execution/],
  ['noProof', { failover: 1 }, /seq has a hole/],
  ['claimUnproved', { failover: 1, release: 1 }, /commits, but the owner is/],
  ['decideByReading', { lost: 1 }, /a completed step is performed again/],
  ['resendChanges', { lost: 1, release: 1 }, /the owner is 0/],
  ['performBeforeCommit', { crash: 1 }, /its mark is not durable|the owner is/],
  ['performPastLease', { stall: 1 }, /performs.*the owner is/],
  ['leaseFromAnswer', { stall: 1 }, /performs.*the owner is/],
  ['performMarked', { crash: 1 }, /B is performed twice/],
  ['inboxApart', { signal: 1, crash: 1 }, /the signal is consumed/],
  ['claimReadOnce', { lost: 1 }, /nothing that is no fault leads to the end/],
  ['loadWhileLeaving', { release: 1 }, /performs.*the owner is/],
]

/** Those whose counterexample takes longer to find. */
export const neededDeep: readonly Needed[] = [
  ['claimByOwner', { failover: 1, release: 1 }, /seq has a hole/],
  ['proofBySeq', { failover: 1, crash: 1 }, /seq has a hole|forks/],
  ['staleMail', { signal: 1, crash: 1, release: 1 }, /consumed twice/],
]
