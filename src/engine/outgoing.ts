import type { Plan, SubWorkflowPlan } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import { type ChildEnd, childFact, endForParent, endOf } from './child-end.ts'
import { childStart } from './child-start.ts'
import { childrenOf } from './core/children.ts'
import type { Command } from './core/command.ts'
import type { Event, Fact } from './core/event.ts'
import type { ExecutionState, StepState } from './core/state.ts'
import { isHeld, planOf } from './core/turn.ts'
import type { Draft } from './draft.ts'
import { emission } from './emission.ts'
import { errorFact } from './error-fact.ts'
import type { ExecutionWriter } from './execution-writer.ts'
import type { Accompanying } from './facts.ts'
import { roughBytes } from './json-size.ts'
import { askAgainIn, type Finding, isWorthAsking } from './look-up.ts'
import type { Services } from './services.ts'
import { slotAsk, slotRelease, slotsToFree } from './slot-rows.ts'

/**
 * A child that ends while it is asked may have looked at its parent before that was back in service, and told nothing: it is
 * asked so often, each time after twice as long.
 */
const ASK_TIMES = 5
const ASK_AGAIN_MS = 1_000

/**
 * What an execution does to others: it starts children, emits signals and sends messages, each in the very append that records
 * why. A look-up comes before; it changes nothing, and whoever has the execution next makes it again.
 */
export class Outgoing {
  readonly #row: ExecutionRow
  readonly #plan: Plan
  readonly #services: Services
  readonly #writer: Pick<ExecutionWriter, 'written'>
  readonly #state: () => ExecutionState
  readonly #record: (fact: Fact) => void
  /** Nothing has come of a look-up: the execution may be idle now. */
  readonly #look: () => void
  /** Paths that are being looked up, and children that are being asked. */
  #looking = new Set<string>()
  /** What was found and is about to be on record, by the paths of the steps that asked. */
  readonly #findings = new Map<string, Finding>()

  constructor(
    row: ExecutionRow,
    plan: Plan,
    services: Services,
    writer: Pick<ExecutionWriter, 'written'>,
    state: () => ExecutionState,
    record: (fact: Fact) => void,
    look: () => void,
  ) {
    this.#row = row
    this.#plan = plan
    this.#services = services
    this.#writer = writer
    this.#state = state
    this.#record = record
    this.#look = look
  }

  get isIdle(): boolean {
    return this.#looking.size === 0
  }

  carryOut(command: Accompanying, draft: Draft): void {
    const { clock } = this.#services
    switch (command.type) {
      case 'look_up':
        return this.#seek(command.path)
      case 'ask_child':
        return void this.#ask(command.executionId, this.#looking)
      case 'tell_child':
        return this.#tell(draft, command)
      case 'list_approval':
        return draft.listApproval(command.change, this.#row)
      case 'ask_slot':
        return draft.ask(slotAsk(this.#row, command, this.#state().at))
      case 'release_slot':
        return draft.release(slotRelease(this.#row, command, clock.now()))
    }
  }

  /** Answers with what was found, unless `forget` comes first. */
  #seek(path: string): void {
    if (this.#looking.has(path)) return
    this.#looking.add(path)
    void this.#answer(path, this.#looking)
  }

  /** What was being looked up is asked for anew, or by somebody else. */
  forget(): void {
    this.#looking = new Set()
    this.#findings.clear()
  }

  #tell(draft: Draft, { executionId, action }: Extract<Command, { type: 'tell_child' }>): void {
    const { clock } = this.#services
    const payload = { reason: `its parent ${this.#row.id} asks for it` }
    draft.send({ executionId, kind: action, name: null, payload, requestId: clock.newId(), at: clock.now() }, 0)
  }

  /** Puts beside an event what goes with it. */
  accompany(draft: Draft, event: Event): void {
    if (this.#findings.size > 0) this.#accompanyFinding(draft, event)
    if (ends.has(event.type)) this.#tellParent(draft)
  }

  /** The execution is taken out of service: nobody waits for it, and what it holds is free. */
  endHere(draft: Draft): void {
    if (this.#plan.hasSlots)
      for (const one of slotsToFree(this.#row, this.#state(), this.#services.clock)) draft.release(one)
    this.#tellParent(draft)
  }

  #accompanyFinding(draft: Draft, event: Event): void {
    const path = ('path' in event && event.path) || ''
    const finding = this.#findings.get(path)
    // What else has become of the step meanwhile takes nothing with it.
    if (finding === undefined || finding.fact.data !== event.data) return
    finding.accompany!(draft)
    this.#findings.delete(path)
  }

  /** The execution has ended. */
  #tellParent(draft: Draft): void {
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
    else if (looking === this.#looking) this.#look()
  }

  /** The child's row, null when it was removed; undefined when nobody asks any more. */
  async #childAt(executionId: string, isAsked: () => boolean): Promise<ExecutionRow | null | undefined> {
    const { store, log, clock } = this.#services
    for (let failures = 1; isAsked(); failures++) {
      try {
        return await store.findExecution(executionId)
      } catch (err) {
        log.warn({ executionId: this.#row.id, err }, 'a child cannot be asked just now; it is tried again')
        await this.#pause(askAgainIn(failures, clock.random()))
      }
    }
    return undefined
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#services.clock.after(ms, resolve))
  }

  async #answer(path: string, looking: Set<string>): Promise<void> {
    const find = await this.#find(path, looking)
    if (looking !== this.#looking) return
    looking.delete(path)
    // Found and on record in one turn: two that are looked up together must not both be the last that there is room for.
    const finding = find?.() ?? null
    if (finding === null) return this.#look()
    if (finding.accompany !== undefined) this.#findings.set(path, finding)
    this.#record(finding.fact)
  }

  /** Null: nobody asks any more, or only after a pause. */
  async #find(path: string, looking: Set<string>): Promise<(() => Finding | null) | null> {
    const { clock, log } = this.#services
    for (let failures = 1; ; failures++) {
      const step = this.#asking(path, looking)
      if (step === null) return null
      try {
        const find = await this.#lookUp(step)
        return () => (this.#asking(path, looking) === step ? this.#found(path, find) : null)
      } catch (thrown) {
        if (!isWorthAsking(thrown)) return () => this.#unfound(path, thrown)
        const waitMs = askAgainIn(failures, clock.random())
        const about = { executionId: this.#row.id, path, waitMs, err: thrown }
        log.warn(about, 'what a step needs cannot be looked up just now; it is tried again')
        await this.#pause(waitMs)
      }
    }
  }

  #found(path: string, find: () => Finding): Finding {
    try {
      return find()
    } catch (thrown) {
      return this.#unfound(path, thrown)
    }
  }

  #unfound(path: string, thrown: unknown): Finding {
    const error = errorFact('InternalError', `a bug in the engine: ${(thrown as Error).message}`, path)
    const about = { executionId: this.#row.id, path, errorId: error.errorId, err: thrown }
    this.#services.log.error(about, 'what a step needs cannot be looked up')
    return { fact: { type: 'step.failed', path, data: { error, retryAt: null } } }
  }

  /** The step that waits for an answer still. While the execution is held nothing goes on: `resume` asks again. */
  #asking(path: string, looking: Set<string>): StepState | null {
    const state = this.#state()
    const step = state.steps.get(path)
    return looking === this.#looking && step?.deciding === true && !isHeld(state) ? step : null
  }

  async #lookUp(step: StepState): Promise<() => Finding> {
    const plan = planOf(this.#plan, step)
    const seeker = { row: this.#row, plan: this.#plan, services: this.#services, state: this.#state }
    if (plan.type !== 'emit') return childStart(seeker, plan as SubWorkflowPlan, step)
    // Itself, and the children that it has just started, are to be found too.
    await this.#writer.written()
    return emission(seeker, plan, step)
  }
}

const ends: ReadonlySet<Event['type']> = new Set(['execution.completed', 'execution.failed', 'execution.cancelled'])
