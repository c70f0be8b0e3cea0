/** What an embedding program imports. */
export { buildApp } from './app.ts'
export type { Definition } from './definition/schema.ts'
export {
  type Action,
  type ActionContext,
  ActionError,
  type ActionResult,
  defineAction,
} from './engine/actions/action.ts'
export type { Breakers, CircuitView } from './engine/breakers.ts'
export type { CheckpointState } from './engine/core/checkpoint.ts'
export type { Event, ExecutionError, JournalEvent } from './engine/core/event.ts'
export type { Progress, StepProgress } from './engine/core/progress.ts'
export type { RollbackPlan } from './engine/core/rollback-plan.ts'
export type { Checkpoint, ExecutionStatus, StepStatus } from './engine/core/state.ts'
export { WorkflowEngine } from './engine/engine.ts'
export type { EngineOptions } from './engine/engine-options.ts'
export type { ControlAnswer } from './engine/requests.ts'
export type { StartAnswer, StartRequest } from './engine/starts.ts'
export type { StreamMessage, SubscribeOptions, Subscription } from './engine/stream-message.ts'
export { CairnError, type ErrorCode, type Fault } from './errors.ts'
export type { ExecutionRow } from './repository/execution-row.ts'
export type { Workflow } from './repository/workflows.ts'
