import type { Budget } from './state.ts'

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
