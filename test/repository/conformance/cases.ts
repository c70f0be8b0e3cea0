import type { Test } from 'tap'
import type { ExecutionRow } from '../../../src/repository/execution-row.ts'
import type { LaneWriter } from '../../../src/repository/lane.ts'
import { executionRow, registerTestNode, startOf } from '../../harness/rows.ts'
import type { ModelStore } from '../../simulation/model/store.ts'
import type { Side } from './sides.ts'

/** By the rule that it checks: what either side must do. */
export type Cases = Record<string, (t: Test, side: Side) => Promise<void>>

/** ms since 1970, by either side's clock. */
export const past = 1_700_000_000_000
export const future = 4_000_000_000_000
/** ms. */
export const hour = 3_600_000
/** A claim of whatever there is. */
export const all = { limit: 100, room: 100, formats: [1] }

/** A lane that is closed at the test's end. */
export function laneOf(t: Test, store: ModelStore, node: string, lane = 0): LaneWriter {
  const opened = store.openLane(node, lane)
  t.teardown(() => opened.close())
  return opened
}

/** A node that lives, and its lane. */
export async function registered(t: Test, store: ModelStore): Promise<{ node: string; lane: LaneWriter }> {
  const node = await registerTestNode(store)
  return { node, lane: laneOf(t, store, node) }
}

/** Puts rows in the table as some node's flush would. */
export async function inserted(t: Test, store: ModelStore, ...given: Partial<ExecutionRow>[]): Promise<string[]> {
  const { lane } = await registered(t, store)
  const rows = given.map((row) => executionRow(row))
  const starts = rows.map((row) => startOf(row))
  t.equal(await lane.flush(starts, false), 'committed')
  return rows.map((row) => row.id)
}

/** What a promise is rejected with. */
export async function caught(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}
