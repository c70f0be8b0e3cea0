import type { ApprovalChange } from './approvals.ts'
import type { Compensating, ExecutionError, Queued } from './event.ts'
import type { SlotName } from './slots.ts'

/**
 * What the core asks the shell to do, imperative. `perform` has an effect on the world and waits until the events that
 * caused it are committed; all others may be carried out at once. Every command may be issued again.
 */
export type Command =
  /** Evaluate the step's `when`; answer with `step.entered` or `step.skipped` (or `step.failed`). */
  | { readonly type: 'evaluate_when'; readonly path: string }
  /** Evaluate what a step needs to go on; answer with the fact that its type's `decide` finds, or `step.failed`. */
  | { readonly type: 'decide'; readonly path: string }
  /** Look up what a step needs of the world outside of the execution; answer with `child.started`, `step.completed` or `step.failed`. */
  | { readonly type: 'look_up'; readonly path: string }
  /** Leave a request in the inbox of a child, with the event that caused it. */
  | { readonly type: 'tell_child'; readonly executionId: string; readonly action: 'pause' | 'resume' | 'cancel' }
  /** Ask a child whether it has ended, once all before is committed; answer with the fact that its own message would be. */
  | { readonly type: 'ask_child'; readonly executionId: string }
  /** Have the list of approvals say so, with the event that caused it. */
  | { readonly type: 'list_approval'; readonly change: ApprovalChange }
  /** Evaluate which slot a step needs, or with the path '' the execution; answer with `step.queued` or `execution.queued`. */
  | { readonly type: 'queue'; readonly path: string }
  /** Stand in line for a slot, with the event that caused it; the inbox answers with `slot.granted` or `slot.refused`. */
  | ({ readonly type: 'ask_slot'; readonly path: string; readonly ticket: number } & Queued)
  /** Give a slot back, or the place in line, with the event that caused it. */
  | ({ readonly type: 'release_slot' } & SlotName)
  /** Record `execution.cancelled`. */
  | { readonly type: 'cancel'; readonly reason: string }
  /** Evaluate the workflow's `output`; answer with `execution.completed` or `execution.failed`. */
  | { readonly type: 'complete' }
  /** Record `execution.failed`. */
  | { readonly type: 'fail'; readonly error: ExecutionError; readonly requestId?: string }
  /** All that came after the checkpoint is compensated: record `execution.rolled_back`, which needs the state there. */
  | { readonly type: 'roll_back'; readonly rollback: Compensating }
  /** Record `execution.paused`: it was asked for and no attempt runs any more. */
  | { readonly type: 'pause' }
  /** Record `step.started`, the durable mark before an at_most_once attempt. */
  | { readonly type: 'mark_started'; readonly path: string; readonly attempt: number }
  /** Perform an attempt of an action; answer with `step.completed` or `step.failed`. */
  | { readonly type: 'perform'; readonly path: string; readonly attempt: number }
  /** Record that an at_most_once attempt was interrupted: its record says started, and nobody knows how it ended. */
  | { readonly type: 'interrupt'; readonly path: string; readonly attempt: number }
  /** Abort the attempt that runs; its result is dropped. */
  | { readonly type: 'abort'; readonly path: string }
  /**
   * When due, answer with `timer.fired` (retry), the fact of its type's `due` (wait), `step.failed` (step_timeout) or
   * `execution.failed` (execution_timeout), `slot.refused` (slot).
   */
  | { readonly type: 'set_timer'; readonly timer: Timer; readonly path: string; readonly dueAt: number }
  | { readonly type: 'clear_timer'; readonly timer: Timer; readonly path: string }

export type Timer = 'retry' | 'wait' | 'step_timeout' | 'execution_timeout' | 'slot'
