import { troubleOf } from '../repository/classify.ts'
import type { Clock } from './clock.ts'
import type { NodeLife } from './node-life.ts'
import type { Storage } from './storage.ts'

const READY_WITHIN_MS = 2_000

/** Why a node that runs should get no requests, by name; empty when it should. */
export async function reasonsAgainst(
  life: NodeLife | null,
  storage: Pick<Storage, 'isReadOnly'>,
  clock: Pick<Clock, 'after'>,
): Promise<readonly string[]> {
  const reasons = [
    life === null ? 'the node has lost its lease and has not got a new one yet' : life.ownership.trouble,
    life?.journal.trouble() ?? null,
    life?.journal.isFull() ? 'the journal waits for PostgreSQL' : null,
    await databaseTrouble(storage, clock),
  ]
  return [...new Set(reasons.filter((reason) => reason !== null))]
}

async function databaseTrouble(
  storage: Pick<Storage, 'isReadOnly'>,
  clock: Pick<Clock, 'after'>,
): Promise<string | null> {
  const asked = Promise.resolve(storage.isReadOnly?.() ?? false)
  const overdue = new Promise<string>((resolve) => {
    clock.after(READY_WITHIN_MS, () => resolve('PostgreSQL does not answer'))
  })
  return Promise.race([asked.then((is) => (is ? 'PostgreSQL is read-only' : null), troubleOf), overdue])
}
