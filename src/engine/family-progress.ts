import { CairnError } from '../errors.ts'
import type { Store } from '../repository/store.ts'
import type { ChildProgress } from './core/child-progress.ts'
import { childrenOf } from './core/children.ts'
import type { Progress } from './core/progress.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
import type { History } from './history.ts'

/** So many executions below the one that is asked for are read whole; of more than that, their newest events are believed. */
const MOST_READ = 50

interface Readers {
  readonly history: Pick<History, 'progress'>
  readonly store: Pick<Store, 'findStandings'>
}

/**
 * How far an execution has come, its children and theirs counted in. Children are asked one after another, those that are waited
 * for; the others are listed as their newest events have it. As `History.progress`.
 */
export function progressOfFamily(readers: Readers, executionId: string): Promise<Progress> {
  const { history, store } = readers
  let left = MOST_READ
  const childrenIn = async (state: ExecutionState): Promise<ChildProgress[]> => {
    const children = Object.entries(childrenOf(state))
    if (children.length === 0 || isFinished(state.status)) return []
    const standings = await store.findStandings(children.map(([id]) => id))
    const known = new Map(standings.map((standing) => [standing.id, standing]))
    const found: ChildProgress[] = []
    for (const [id, { path, isAwaited }] of children) {
      const standing = known.get(id)
      // Removed since it was let go.
      if (standing === undefined) continue
      const { status, percentage } = standing
      const isRead = isAwaited && !isFinished(status) && left > 0
      const own = { path, executionId: id, status, percentage, estimatedRemainingMs: null }
      if (isRead) left -= 1
      found.push(isRead ? { ...own, ...(await whole(id)) } : own)
    }
    return found
  }
  /** Empty when its history cannot be read here: its newest event is believed. */
  const whole = async (id: string): Promise<Partial<ChildProgress>> => {
    try {
      const { status, percentage, estimatedRemainingMs } = await history.progress(id, childrenIn)
      return { status, percentage, estimatedRemainingMs }
    } catch (error) {
      if (error instanceof CairnError && (error.status !== 503 || error.code === 'FORMAT_UNKNOWN')) return {}
      throw error
    }
  }
  return history.progress(executionId, childrenIn)
}
