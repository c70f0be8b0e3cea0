import type { Json } from '../definition/json.ts'
import type { Fault } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Store } from '../repository/store.ts'
import type { WorkflowVersion } from '../repository/workflow-versions.ts'
import type { Workflow } from '../repository/workflows.ts'
import type { Approval, DecisionAnswer, DecisionRequest } from './approvals.ts'
import type { Breakers } from './breakers.ts'
import type { ControlAction } from './core/control.ts'
import type { Progress, StepProgress } from './core/progress.ts'
import type { RollbackPlan } from './core/rollback-plan.ts'
import type { Checkpoint } from './core/state.ts'
import { type EngineOptions, settingsOf } from './engine-options.ts'
import { progressOfFamily } from './family-progress.ts'
import type { Feed } from './feed.ts'
import type { CheckpointView } from './history.ts'
import type { NodeGauges } from './node-gauges.ts'
import { NodeProcess, type Seams } from './node-process.ts'
import type { ControlAnswer, RollbackWish } from './requests.ts'
import type { StartAnswer, StartRequest } from './starts.ts'
import type { Listener, SubscribeOptions, Subscription } from './stream-message.ts'

interface RollbackOptions {
  readonly resume?: boolean | undefined
  readonly compensate?: boolean | undefined
}

interface ControlOptions {
  readonly reason?: string | undefined
  readonly idempotencyKey?: string | undefined
}

/**
 * The engine: everything that writes goes through it, and what needs the journal folded is read from it. An embedding
 * program makes one, starts it, and stops it. All methods answer with values or throw CairnError; before `start` and
 * after `stop` they throw DATABASE_UNAVAILABLE.
 */
export class WorkflowEngine {
  readonly #process: NodeProcess

  /** Connects to nothing yet. `seams` is not for programs that embed the engine: the simulation stands it on a model. */
  constructor(options: EngineOptions = {}, seams?: Partial<Seams>) {
    this.#process = new NodeProcess(settingsOf(options), seams)
  }

  /**
   * Starts PostgreSQL when none is given, migrates, and goes on with every execution that nobody runs. Waits for a
   * database that does not answer, for as long as it takes; rejects when it is unfit (not durable, not migratable).
   */
  start(): Promise<void> {
    return this.#process.start()
  }

  /**
   * Takes nothing up any more and gives every execution away: at once what has nothing running, the rest as `drainMs` says.
   * Requests are still answered, and starts are stored for other nodes. Resolves when nothing is left here. Idempotent, safe
   * before `start`; `stop` does it too.
   */
  drain(): Promise<void> {
    return this.#process.drain()
  }

  /** Gives its executions away (see `drain`) and lets go of everything. Idempotent, safe before `start`. */
  stop(): Promise<void> {
    return this.#process.stop()
  }

  /** Why this node is not ready to take requests; empty when it is. */
  readiness(): Promise<readonly string[]> {
    return this.#process.readiness()
  }

  /** For reading only. */
  get store(): Store {
    return this.#process.parts.store
  }

  /** What is known of the targets that actions call, and the operator's hand on them. */
  get circuitBreakers(): Breakers {
    const { breakers } = this.#process.parts
    if (breakers === null) throw new CairnError('DATABASE_UNAVAILABLE')
    return breakers
  }

  /** Committed events, live. */
  get feed(): Feed {
    return this.#process.parts.feed
  }

  /** Figures of this node for metrics, asked when they are shown. */
  get gauges(): NodeGauges {
    return this.#process.gauges
  }

  /** Stores a definition as version 1 of a new workflow. DEFINITION_INVALID with all faults, WORKFLOW_NAME_TAKEN. */
  async createWorkflow(definition: unknown): Promise<Workflow> {
    return (await this.createWorkflowKeyed(definition, {})).workflow
  }

  /** As `createWorkflow`; the same key and definition answer with the same workflow. IDEMPOTENCY_KEY_REUSED. */
  async createWorkflowKeyed(definition: unknown, options: { idempotencyKey?: string | undefined; namespace?: string }) {
    const { namespace = 'default', idempotencyKey } = options
    return this.#process.definitions.create(definition, { namespace, idempotencyKey })
  }

  /** Stores a new version and activates it; `ifVersion` is the active version that the caller knows. VERSION_CONFLICT. */
  async updateWorkflow(
    workflowId: string,
    definition: unknown,
    options: { ifVersion?: number | undefined } = {},
  ): Promise<Workflow> {
    return this.#process.definitions.update(workflowId, definition, options.ifVersion)
  }

  /** New starts are refused from now on; executions go on. WORKFLOW_NOT_FOUND. */
  async archiveWorkflow(workflowId: string): Promise<void> {
    return this.#process.definitions.archive(workflowId)
  }

  /** Makes a version the one that new executions run. VERSION_NOT_FOUND, WORKFLOW_ARCHIVED. */
  async activateVersion(workflowId: string, version: number): Promise<Workflow> {
    return this.#process.definitions.activate(workflowId, version)
  }

  /** A deprecated version takes no new executions. VERSION_NOT_FOUND, VERSION_ACTIVE. */
  async deprecateVersion(workflowId: string, version: number): Promise<WorkflowVersion> {
    return this.#process.definitions.deprecate(workflowId, version)
  }

  /** Every fault of a definition; empty when `createWorkflow` would take it. */
  async validateDefinition(definition: unknown): Promise<readonly Fault[]> {
    return this.#process.definitions.faultsOf(definition)
  }

  /** Starts an execution of the active version; its id, once it is durable. See `requestStart`. */
  async startExecution(
    workflowId: string,
    triggeredBy?: string,
    input?: Json,
    options: Omit<StartRequest, 'workflowId' | 'triggeredBy' | 'input'> = {},
  ): Promise<string> {
    return (await this.requestStart({ ...options, workflowId, triggeredBy, input })).execution.id
  }

  /** Starts an execution; `replayed` when its idempotency key had started one already, `existing` when its executionKey is live. */
  async requestStart(request: StartRequest): Promise<StartAnswer> {
    return this.#process.starts.start(request)
  }

  /** Asks for a change of status and waits up to 5 s for it. EXECUTION_STATUS_CONFLICT with the present status. */
  async control(
    executionId: string,
    action: Exclude<ControlAction, 'rollback'>,
    options: ControlOptions = {},
  ): Promise<ControlAnswer> {
    return this.#process.requests.control(executionId, { ...options, action })
  }

  /**
   * Goes back to a kept checkpoint; paused afterwards unless `resume`. With `compensate` what was completed after it is taken back
   * first; when that fails, the execution is failed. CHECKPOINT_NOT_FOUND, CHECKPOINT_GONE, SEQ_CONFLICT, EXECUTION_COMPENSATED.
   */
  async rollback(
    executionId: string,
    options: ControlOptions & RollbackOptions & { checkpointIndex: number; seq?: number | undefined },
  ): Promise<ControlAnswer> {
    return this.#process.requests.control(executionId, { ...options, action: 'rollback' })
  }

  /** What `rollback` would do as things stand; changes nothing. Refused as it would be. FORMAT_UNKNOWN, HISTORY_INVALID. */
  async planRollback(executionId: string, wish: RollbackWish & { checkpointIndex: number }): Promise<RollbackPlan> {
    return this.#process.requests.planRollback(executionId, wish)
  }

  async pauseExecution(executionId: string, options?: ControlOptions): Promise<ControlAnswer> {
    return this.control(executionId, 'pause', options)
  }

  async resumeExecution(executionId: string, options?: ControlOptions): Promise<ControlAnswer> {
    return this.control(executionId, 'resume', options)
  }

  async cancelExecution(executionId: string, options?: ControlOptions): Promise<ControlAnswer> {
    return this.control(executionId, 'cancel', options)
  }

  async retryExecution(executionId: string, options?: ControlOptions): Promise<ControlAnswer> {
    return this.control(executionId, 'retry', options)
  }

  async rollbackToCheckpoint(
    executionId: string,
    checkpointIndex: number,
    options?: RollbackOptions,
  ): Promise<ControlAnswer> {
    return this.rollback(executionId, { ...options, checkpointIndex })
  }

  /** Leaves a signal that is kept until a step takes it. SIGNAL_INVALID, SIGNALS_FULL, PAYLOAD_TOO_LARGE. */
  async signal(
    executionId: string,
    name: string,
    payload: Json,
    options: { idempotencyKey?: string | undefined } = {},
  ) {
    return this.#process.requests.signal(executionId, name, payload, options.idempotencyKey)
  }

  /** An approval as it is now, with its form; `store.listApprovals` lists them. APPROVAL_NOT_FOUND. */
  async getApproval(approvalId: string): Promise<Approval> {
    return this.#process.approvals.find(approvalId)
  }

  /** Approves or rejects and waits up to 5 s until that is taken. APPROVAL_CLOSED: another one came first. APPROVAL_DATA_INVALID. */
  async decideApproval(approvalId: string, request: DecisionRequest): Promise<DecisionAnswer> {
    return this.#process.approvals.decide(approvalId, request)
  }

  /** Waits for the end, at most `waitMs`; the execution as it is then. */
  async waitForEnd(executionId: string, waitMs: number, signal?: AbortSignal): Promise<ExecutionRow> {
    return this.#process.requests.waitForEnd(executionId, waitMs, signal)
  }

  async getExecution(executionId: string): Promise<ExecutionRow> {
    const execution = await this.store.findExecutionView(executionId)
    if (execution === null) throw new CairnError('EXECUTION_NOT_FOUND', [executionId])
    return execution
  }

  async getProgress(executionId: string): Promise<Progress> {
    return progressOfFamily(this.#process.parts, executionId)
  }

  /** The path of the step that `getProgress` calls current; null for none, and where the journal cannot be folded here. */
  async currentPath(executionId: string): Promise<string | null> {
    try {
      return (await this.#process.parts.history.overview(executionId)).currentStep?.path ?? null
    } catch (error) {
      if (error instanceof CairnError && error.status !== 503) return null
      throw error
    }
  }

  async getSteps(executionId: string): Promise<readonly StepProgress[]> {
    return this.#process.parts.history.steps(executionId)
  }

  /** The checkpoints that are kept, oldest first. */
  async listCheckpoints(executionId: string): Promise<readonly Checkpoint[]> {
    return this.#process.parts.history.checkpoints(executionId)
  }

  async getCheckpoint(executionId: string, index: number): Promise<CheckpointView> {
    return this.#process.parts.history.checkpoint(executionId, index)
  }

  /** Hears a snapshot, then every event in order; see stream-message.ts. The returned function ends it. */
  subscribe(executionId: string, listener: Listener, options: SubscribeOptions = {}): Subscription {
    return this.feed.subscribe(executionId, options, listener)
  }
}
