import type { Test } from 'tap'
import { compile } from '../../../src/definition/compile.ts'
import type { Json, JsonObject } from '../../../src/definition/json.ts'
import type { ActionShape, Plan } from '../../../src/definition/plan.ts'
import type { Command } from '../../../src/engine/core/command.ts'
import type { Event, ExecutionError, Fact, JournalEvent } from '../../../src/engine/core/event.ts'
import { fold } from '../../../src/engine/core/fold.ts'
import { isMoot } from '../../../src/engine/core/moot.ts'
import { pending } from '../../../src/engine/core/pending.ts'
import { holderAt } from '../../../src/engine/core/slots.ts'
import { snapshotOf, stateOf } from '../../../src/engine/core/snapshot.ts'
import { createState, type ExecutionState, FORMAT } from '../../../src/engine/core/state.ts'
import { transition } from '../../../src/engine/core/transition.ts'
import { evaluate } from '../../../src/engine/evaluate.ts'
import { failedFact, timerFact } from '../../../src/engine/facts.ts'
import { queuedFact } from '../../../src/engine/queueing.ts'

const echo: ActionShape = { type: 'echo', configSchema: {}, secretFields: [], literalFields: [] }

/** A definition of echo actions: `a('x')` is `{id: 'x', type: 'action', config: {type: 'echo'}}` with what else is given. */
export const a = (id: string, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo' },
  ...rest,
})
export const seq = (id: string, steps: object[], rest: object = {}): object => ({
  id,
  name: id,
  type: 'sequential',
  config: { steps },
  ...rest,
})
export const par = (id: string, steps: object[], config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'parallel',
  config: { steps, ...config },
  ...rest,
})
export const gate = (id: string, condition: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'condition',
  config: { condition, ...config },
  ...rest,
})

/** A step of any type: `of('switch', 's', {cases: …})`. */
export const of = (type: string, id: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type,
  config,
  ...rest,
})

export function planOf(steps: object[], rest: object = {}): Plan {
  const result = compile({ name: 'test', steps, ...rest }, new Map([['echo', echo]]))
  if ('faults' in result) throw new Error(JSON.stringify(result.faults))
  return result.plan
}

const unbounded = { maxBytes: Number.POSITIVE_INFINITY, roomFor: () => Number.POSITIVE_INFINITY }

const info = { id: 'x', workflowId: 'w', correlationId: null, triggeredBy: null, startedAt: null }

/**
 * The core without a shell: facts go in, commands come out. Evaluations are answered at once, as the executor does;
 * attempts, timers and aborts are left to the test.
 */
export class Driver {
  readonly plan: Plan
  readonly state: ExecutionState
  readonly journal: JournalEvent[] = []
  /** What was commanded since the last `take`. */
  commands: Command[] = []
  readonly #answers: Fact[] = []
  #made = 0
  readonly #ids = { newId: () => `id ${++this.#made}` }
  at = 1_000

  constructor(steps: object[], options: { input?: Json; definition?: object } = {}) {
    this.plan = planOf(steps, options.definition)
    const { variables } = this.plan
    this.state = createState({
      executionId: 'x',
      format: FORMAT,
      input: options.input ?? null,
      variables,
    })
  }

  /** Starts the execution. */
  start(): this {
    return this.fact({ type: 'execution.started', data: {} })
  }

  /** Takes a fact in, and then the answers to what it causes, in order, as the executor does. */
  fact(fact: Fact): this {
    this.#apply(fact)
    for (let next = this.#answers.shift(); next !== undefined; next = this.#answers.shift()) {
      if (!isMoot(this.state, next)) this.#apply(next)
    }
    return this
  }

  #apply(fact: Fact): void {
    const event = { ...fact, seq: this.state.seq + 1, at: this.at } as Event
    const commands = transition(this.plan, this.state, event)
    const { seq, at, type, data } = event
    const step = fact as { path?: string; attempt?: number }
    this.journal.push({
      executionId: 'x',
      seq,
      at,
      type,
      data: data as Json,
      path: step.path ?? null,
      attempt: step.attempt ?? null,
      percentage: this.state.percentage,
    })
    for (const command of commands) this.#answer(command)
  }

  complete(path: string, output: Json = path, meta?: JsonObject): this {
    return this.fact({
      type: 'step.completed',
      path,
      attempt: this.attempt(path),
      data: { output, ...(meta && { meta }) },
    })
  }

  fail(path: string, options: { retryAt?: number | null; error?: Partial<ExecutionError> } = {}): this {
    const error = { type: 'ConnectionError', message: 'refused', stepPath: path, ...options.error }
    return this.fact({
      type: 'step.failed',
      path,
      attempt: this.attempt(path),
      data: { error, retryAt: options.retryAt ?? null },
    })
  }

  attempt(path: string): number {
    return this.state.steps.get(path)?.attempt ?? 0
  }

  /** What comes due: the timers in `pending` that `at` has reached, in order. */
  passTime(ms: number): this {
    this.at += ms
    const due = pending(this.plan, this.state).filter(
      (command) => command.type === 'set_timer' && command.dueAt <= this.at,
    )
    for (const timer of due) {
      const fact = timerFact(timer as Extract<Command, { type: 'set_timer' }>, this.plan, this.state)
      if (fact !== null && !isMoot(this.state, fact)) this.fact(fact)
    }
    return this
  }

  /** The slot that was asked for last at the path is there; '': the execution's own. */
  grant(path: string, ticket = holderAt(this.state, path)!.slot!.ticket): this {
    return this.fact({ type: 'slot.granted', ...(path !== '' && { path }), data: { ticket } })
  }

  signal(name: string, payload: Json = null): this {
    const signal = { id: `signal ${this.state.seq}`, name, payload, at: this.at }
    return this.fact({ type: 'signal.received', data: { signal } })
  }

  /** The journal folds to this very state again, also from a snapshot after each of its events. */
  checkReplay(t: Test): this {
    const fresh = () =>
      createState({ executionId: 'x', format: FORMAT, input: this.state.input, variables: this.plan.variables })
    for (let cut = 0; cut <= this.journal.length; cut++) {
      const before = fold(this.plan, fresh(), this.journal.slice(0, cut))
      const restored = stateOf(JSON.parse(JSON.stringify(snapshotOf(before))), this.state.input)
      const state = fold(this.plan, restored, this.journal.slice(cut))
      if (cut === 0 || JSON.stringify(snapshotOf(state)) !== JSON.stringify(snapshotOf(this.state)))
        t.same(snapshotOf(state), snapshotOf(this.state), `replay from a snapshot after ${cut} events`)
    }
    return this
  }

  status(path: string): string | undefined {
    return this.state.steps.get(path)?.status
  }

  /** The commands since the last call, as short texts: `perform a 1`, `abort b`, `set_timer retry a 1500`. */
  take(): string[] {
    const texts = this.commands.map(textOf)
    this.commands = []
    return texts
  }

  pending(): string[] {
    return pending(this.plan, this.state).map(textOf)
  }

  #answer(command: Command): void {
    switch (command.type) {
      case 'evaluate_when':
      case 'decide':
      case 'complete': {
        const fact = evaluate(this.plan, this.state, info, command, unbounded, this.#ids)
        if (fact !== null) this.#answers.push(fact)
        return
      }
      case 'queue': {
        const fact = queuedFact(this.plan, this.state, info, command.path)
        if (fact !== null) this.#answers.push(fact)
        return
      }
      case 'cancel':
        this.#answers.push({ type: 'execution.cancelled', data: { reason: command.reason } })
        return
      case 'fail':
        this.#answers.push(failedFact(command))
        return
      case 'pause':
        this.#answers.push({ type: 'execution.paused', data: { ...this.state.pauseRequest } })
        return
      case 'mark_started':
        this.#answers.push({ type: 'step.started', path: command.path, attempt: command.attempt, data: {} })
        return
      default:
        this.commands.push(command)
    }
  }
}

function textOf(command: Command): string {
  const { type, path, timer, attempt, dueAt, executionId, action } = command as Record<string, unknown>
  return [type, timer, path, attempt, dueAt, executionId, action].filter((part) => part !== undefined).join(' ')
}
