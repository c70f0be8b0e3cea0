import type { Json } from '../definition/json.ts'
import type { Plan, SubWorkflowPlan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Append } from '../repository/flush.ts'
import { type ChildEnd, childFact, endForParent, endOf } from './child-end.ts'
import { childrenOf, DEEPEST, MOST_CHILDREN } from './core/children.ts'
import type { Command } from './core/command.ts'
import { dataOf } from './core/data.ts'
import type { Event, ExecutionError, Fact } from './core/event.ts'
import { StepScope } from './core/scope.ts'
import type { ExecutionState, StepState } from './core/state.ts'
import { planOf } from './core/turn.ts'
import type { Draft } from './draft.ts'
import { errorFact } from './error-fact.ts'
import { stepError } from './evaluate.ts'
import type { ExecutionWriter } from './execution-writer.ts'
import { infoOf } from './facts.ts'
import { roughBytes } from './json-size.ts'
import { scheduled } from './scheduled.ts'
import type { Services } from './services.ts'

/** How long it waits before it asks a database that does not answer again. */
const ASK_AGAIN_MS = 1_000
/**
 * A child that ends while it is asked may have looked at its parent before that was back in service, and told nothing: it is
 * asked so often, each time after twice as long.
 */
const ASK_TIMES = 5

/**
 * What an execution does to others: it starts children and sends messages, each in the very append that records why. A look-up
 * comes before; it changes nothing, and whoever has the execution next makes it again.
 */
export class Outgoing {
  readonly #row: ExecutionRow
  readonly #plan: Plan
  readonly #services: Services
  readonly #state: () => ExecutionState
  readonly #record: (fact: Fact) => void
  readonly #writer: Pick<ExecutionWriter, 'written'>
  /** Paths that are being looked up, and children that are being asked. */
  #looking = new Set<string>()
  /** Children that are about to be on record, by the paths of their steps. */
  readonly #starts = new Map<string, Append>()

  constructor(
    row: ExecutionRow,
    plan: Plan,
    services: Services,
    state: () => ExecutionState,
    record: (fact: Fact) => void,
    writer: Pick<ExecutionWriter, 'written'>,
  ) {
    this.#row = row
    this.#plan = plan
    this.#services = services
    this.#state = state
    this.#record = record
    this.#writer = writer
  }

  get isIdle(): boolean {
    return this.#looking.size === 0
  }

  carryOut(command: Extract<Command, { type: 'look_up' | 'tell_child' | 'ask_child' }>, draft: Draft): void {
    if (command.type === 'look_up') this.#lookUp(command.path)
    else if (command.type === 'ask_child') void this.#ask(command.executionId, this.#looking)
    else this.#tell(draft, command)
  }

  /** Answers with `child.started` or `step.failed`, unless `forget` comes first. */
  #lookUp(path: string): void {
    if (this.#looking.has(path)) return
    this.#looking.add(path)
    void this.#answer(path, this.#looking)
  }

  /** What was being looked up is asked for anew, or by somebody else. */
  forget(): void {
    this.#looking = new Set()
    this.#starts.clear()
  }

  #tell(draft: Draft, { executionId, action }: Extract<Command, { type: 'tell_child' }>): void {
    const { clock } = this.#services
    const payload = { reason: `its parent ${this.#row.id} asks for it` }
    draft.send({ executionId, kind: action, name: null, payload, requestId: clock.newId(), at: clock.now() }, 0)
  }

  /** Puts beside an event what goes with it. */
  accompany(draft: Draft, event: Event): void {
    if (event.type === 'child.started') {
      draft.start(this.#starts.get(event.path)!)
      this.#starts.delete(event.path)
    }
    if (ends.has(event.type)) this.tellParent(draft)
  }

  /** The execution has ended. */
  tellParent(draft: Draft): void {
    const item = endForParent(this.#row, this.#state(), this.#services.clock)
    if (item !== null) draft.send(item, roughBytes(item.payload))
  }

  /** Answers as the child's own message would, unless that or `forget` comes first. */
  async #ask(executionId: string, looking: Set<string>): Promise<void> {
    const mark = `child ${executionId}`
    if (looking.has(mark)) return
    looking.add(mark)
    // Only from that commit on may a child that ends know that its parent hears it.
    await this.#writer.written().catch(() => {})
    const isAsked = (): boolean => looking === this.#looking && childrenOf(this.#state())[executionId] !== undefined
    let end: ChildEnd | null = null
    for (let time = 0; end === null && isAsked() && time < ASK_TIMES; time++) {
      if (time > 0) await this.#pause(ASK_AGAIN_MS * 2 ** (time - 1))
      const child = await this.#childAt(executionId, isAsked)
      if (child !== undefined) end = endOf(executionId, child)
    }
    looking.delete(mark)
    if (end !== null && isAsked()) this.#record(childFact(end, this.#state()))
  }

  /** The child's row, null when it was removed; undefined when nobody asks any more. */
  async #childAt(executionId: string, isAsked: () => boolean): Promise<ExecutionRow | null | undefined> {
    const { store, log } = this.#services
    while (isAsked()) {
      try {
        return await store.findExecution(executionId)
      } catch (err) {
        log.warn({ executionId: this.#row.id, err }, 'a child cannot be asked just now; it is tried again')
        await this.#pause(ASK_AGAIN_MS)
      }
    }
    return undefined
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#services.clock.after(ms, resolve))
  }

  async #answer(path: string, looking: Set<string>): Promise<void> {
    const fact = await this.#find(path, looking)
    if (looking !== this.#looking) return
    looking.delete(path)
    if (fact !== null) this.#record(fact)
  }

  /** Null: nobody asks any more. */
  async #find(path: string, looking: Set<string>): Promise<Fact | null> {
    const { plans, log } = this.#services
    for (;;) {
      const step = this.#state().steps.get(path)
      if (looking !== this.#looking || step?.deciding !== true) return null
      const plan = planOf(this.#plan, step) as SubWorkflowPlan
      try {
        const { namespace } = this.#row
        const found = await plans.forStartNamed(namespace, plan.workflow, plan.version ?? undefined)
        if (looking !== this.#looking || step.deciding !== true) return null
        return this.#childOf(plan, step, found)
      } catch (thrown) {
        if (thrown instanceof CairnError && thrown.status !== 503)
          return failed(step, errorFact('SubWorkflowUnavailable', thrown.message, path))
        log.warn(
          { executionId: this.#row.id, path, err: thrown },
          'the sub-workflow cannot be looked up just now; it is tried again',
        )
        await this.#pause(ASK_AGAIN_MS)
      }
    }
  }

  #childOf(plan: SubWorkflowPlan, step: StepState, found: { workflowId: string; version: number; plan: Plan }): Fact {
    const { path } = step
    const state = this.#state()
    const depth = (state.parent?.depth ?? 0) + 1
    if (depth > DEEPEST)
      return failed(step, errorFact('SubWorkflowDepthExceeded', `sub-workflows nest at most ${DEEPEST} deep`, path))
    if (Object.keys(childrenOf(state)).length >= MOST_CHILDREN)
      return failed(step, errorFact('TooManyChildren', `an execution has at most ${MOST_CHILDREN} live children`, path))
    const input = this.#inputOf(plan, step, found.plan)
    if ('error' in input) return failed(step, input.error)
    const row = this.#rowOf(found.workflowId, found.version, found.plan.format, input.value)
    const parent = { executionId: this.#row.id, path, depth, isAwaited: plan.mode === 'wait' }
    this.#starts.set(path, scheduled(row, this.#services.clock, parent))
    const data = { executionId: row.id, workflowId: found.workflowId, workflowVersion: found.version }
    return { type: 'child.started', path, data }
  }

  #inputOf(plan: SubWorkflowPlan, step: StepState, childPlan: Plan): { value: Json } | { error: ExecutionError } {
    const state = this.#state()
    const { path } = step
    const { maxPayloadBytes } = this.#services.limits
    try {
      const scope = new StepScope(this.#plan, state, step, infoOf(this.#row, state))
      const value = (plan.input === null ? dataOf(this.#plan, state, step) : plan.input.render(scope)) ?? null
      const bytes = Buffer.byteLength(JSON.stringify(value))
      if (bytes > maxPayloadBytes)
        return {
          error: errorFact(
            'PayloadTooLarge',
            `the child's input is ${bytes} bytes; at most ${maxPayloadBytes} are taken`,
            path,
          ),
        }
      const faults = childPlan.inputFaults(value)
      if (faults.length === 0) return { value }
      const error = errorFact('ValidationError', `the input does not fit the inputSchema of "${plan.workflow}"`, path)
      return { error: { ...error, details: { faults: faults as unknown as Json } } }
    } catch (thrown) {
      return { error: stepError(thrown, step) }
    }
  }

  #rowOf(workflowId: string, workflowVersion: number, format: number, input: Json): ExecutionRow {
    const { clock } = this.#services
    const { id, namespace, triggeredBy, correlationId, traceparent, priority } = this.#row
    const now = clock.now()
    return {
      id: clock.newId(),
      ...{ namespace, workflowId, workflowVersion, triggeredBy, correlationId, traceparent, priority, input },
      // A node of an older release would run it, and not tell the parent.
      format: Math.max(CHILD_FORMAT, format),
      status: 'pending',
      requested: null,
      executionKey: null,
      tags: [],
      output: null,
      error: null,
      owner: null,
      wakeAt: null,
      parentExecutionId: id,
      lastSeq: 0,
      createdAt: now,
      startedAt: null,
      completedAt: null,
      updatedAt: now,
    }
  }
}

/** The format that brought sub-workflows. */
const CHILD_FORMAT = 2

const ends: ReadonlySet<Event['type']> = new Set(['execution.completed', 'execution.failed', 'execution.cancelled'])

const failed = ({ path }: StepState, error: ExecutionError): Fact => ({
  type: 'step.failed',
  path,
  data: { error, retryAt: null },
})
