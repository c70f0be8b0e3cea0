import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Join } from '../../../definition/steps/join.ts'
import type { ExecutionError } from '../event.ts'
import { narrowed } from '../scope.ts'
import type { Deciding } from './behaviour.ts'

/** How many of those that a step waits for have ended so far. */
export type Arrived = { readonly completed: number; readonly failed: number; readonly total: number }

/** Whether a join by number is reached; one by condition only ever is by a decision. */
export const isReached = (join: Join, completed: number): boolean => typeof join === 'number' && completed >= join

/** What a join's condition says now; `ended` tells how many it knew of. `data` is what the output would be. */
export function decideJoin(
  { step, scope }: Deciding,
  join: Join,
  data: Json,
  arrived: Arrived,
  ended: number,
): JsonObject {
  if (join === null || typeof join === 'number') throw new Error(`"${step.path}" has no condition to ask`)
  return { joined: Boolean(join.evaluate(narrowed(scope, { data, locals: { arrived } }))), ended }
}

/** All have ended, and it is not reached. */
export const joinNotReached = (
  join: Join,
  { completed, total }: Arrived,
  what: string,
  path: string,
): ExecutionError => ({
  type: 'JoinNotReached',
  message:
    typeof join === 'number'
      ? `${join} of ${total} ${what} were to be completed, and ${completed} were`
      : `all ${total} ${what} have ended, and the condition is false: ${join?.source}`,
  stepPath: path,
  retryable: false,
})
