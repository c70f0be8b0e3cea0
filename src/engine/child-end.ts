import type { Json, JsonObject } from '../definition/json.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { NewInboxItem } from '../repository/inbox.ts'
import type { Clock } from './clock.ts'
import { childrenOf } from './core/children.ts'
import type { ChildEnded, ExecutionError, Fact } from './core/event.ts'
import { type ExecutionState, isFinished } from './core/state.ts'
import { isOpen } from './core/steps/step.ts'
import { errorFact } from './error-fact.ts'

/** What a child's last flush tells its parent. */
export interface ChildEnd extends ChildEnded {
  readonly output?: Json
  readonly error?: ExecutionError
}

/** The message to the parent of an execution that has ended; null when it has none. */
export function endForParent(
  { id, parentExecutionId }: Pick<ExecutionRow, 'id' | 'parentExecutionId'>,
  { status, output, error }: Pick<ExecutionRow, 'status' | 'output' | 'error'>,
  clock: Pick<Clock, 'now' | 'newId'>,
): NewInboxItem | null {
  if (parentExecutionId === null) return null
  const payload = endOf(id, { status, output, error }) as unknown as JsonObject
  const kind = 'child_ended'
  return { executionId: parentExecutionId, kind, name: null, payload, requestId: clock.newId(), at: clock.now() }
}

/** What the row of a child says of its end; null while it lives. One that was removed has ended, nobody knows how. */
export function endOf(
  executionId: string,
  child: Pick<ExecutionRow, 'status' | 'output' | 'error'> | null,
): ChildEnd | null {
  if (child === null) {
    const error = errorFact('SubWorkflowUnavailable', `its sub-workflow ${executionId} was removed`)
    return { executionId, status: 'failed', error }
  }
  const { status, output, error } = child
  if (!isFinished(status)) return null
  return {
    executionId,
    status: status as ChildEnd['status'],
    ...(status === 'completed' ? { output } : error !== null && { error }),
  }
}

/** What the end of a child is to its parent: the end of the step that waits for it, or only one child less. */
export function childFact({ executionId, status, output, error }: ChildEnd, state: ExecutionState): Fact {
  const child = childrenOf(state)[executionId]
  const step = child?.isAwaited === true ? state.steps.get(child.path) : undefined
  if (step === undefined || step.child !== executionId || !isOpen(step))
    return { type: 'child.ended', data: { executionId, status } }
  const { path } = step
  if (status === 'completed')
    return { type: 'step.completed', path, data: { output: output ?? null, meta: { executionId } } }
  const own = error ?? { type: 'SubWorkflowCancelled', message: `its sub-workflow ${executionId} was cancelled` }
  const { type, message, details, stepPath } = own
  const about = { ...details, executionId, ...(stepPath !== undefined && { childStepPath: stepPath }) }
  return {
    type: 'step.failed',
    path,
    data: { error: { ...errorFact(type, message, path), details: about }, retryAt: null },
  }
}
