import type { Plan } from '../definition/plan.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { Append } from '../repository/flush.ts'
import type { InboxItem } from '../repository/inbox.ts'
import { Attempts } from './attempts.ts'
import type { Command } from './core/command.ts'
import type { Event, Fact } from './core/event.ts'
import { pending } from './core/pending.ts'
import type { ExecutionState } from './core/state.ts'
import { transition } from './core/transition.ts'
import { Draft, type Effect } from './draft.ts'
import { encode } from './encode.ts'
import { answerTo, errorFact, timerFact } from './facts.ts'
import { factOf, type RollbackRequest } from './inbox-fact.ts'
import type { AppendSink } from './journal.ts'
import { parkingTime } from './parking.ts'
import { rolledBackState } from './rollback.ts'
import { imageOf, type RowImage } from './row-image.ts'
import type { Services } from './services.ts'
import { Snapshots } from './snapshots.ts'
import { statusChange, stepCountOf } from './statistics.ts'
import { Timers } from './timers.ts'

/*
 * The loop of one execution that this node owns: facts in → journal → transition → commands out.
 *
 *   live ◀──▶ rolling_back       an old state is being read; attempts are aborted, nothing else is taken in
 *    ├──────▶ leaving ──▶ left   the append that gives the execution away is under way, then committed
 *    └──────▶ dropped            this node is dead: nothing is written or told any more
 *
 * One append is in flight at a time; what happens meanwhile gathers in the draft.
 */
type Phase = 'live' | 'rolling_back' | 'leaving' | 'left' | 'dropped'

/** How far it may run ahead of the journal between steps without effects, and how long it may keep the event loop. */
const AHEAD_EVENTS = 1000
const AHEAD_BYTES = 1024 * 1024
const LONGEST_TURN_MS = 10

export class Executor implements AppendSink {
  readonly id: string
  readonly plan: Plan
  readonly row: ExecutionRow
  #state: ExecutionState
  #phase: Phase = 'live'
  #draft = new Draft()
  #inFlight: { readonly append: Append; readonly effects: readonly Effect[] } | null = null
  /** What the row will say once all that was appended is committed; null: the first append inserts it. */
  #image: RowImage | null
  #facts: { readonly fact: Fact; readonly inboxId: string | undefined }[] = []
  #isTurning = false
  #isDraining = false
  readonly #inboxTaken = new Set<string>()
  readonly #waiters: { resolve(): void; reject(error: Error): void }[] = []
  readonly #services: Services
  readonly #timers: Timers
  readonly #attempts: Attempts
  readonly #snapshots: Snapshots

  /** `isNew`: the row is not in the database yet. Nothing happens before `resume` or a fact. */
  constructor(row: ExecutionRow, plan: Plan, state: ExecutionState, services: Services, isNew: boolean) {
    this.id = row.id
    this.plan = plan
    this.row = row
    this.#state = state
    this.#services = services
    this.#image = isNew ? null : { status: row.status, requested: row.requested }
    this.#timers = new Timers(services.clock)
    this.#attempts = new Attempts(row, plan, services, (fact) => this.record(fact))
    this.#snapshots = new Snapshots(row.id, services)
  }

  get state(): ExecutionState {
    return this.#state
  }

  /** Resolves when all that was recorded so far is committed; rejects when it never will be. */
  written(): Promise<void> {
    if (this.#inFlight === null && this.#draft.isEmpty) return Promise.resolve()
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }))
  }

  /** Takes the execution on from where its state stands: at its start, after a claim, a recovery, a wake-up. */
  resume(): void {
    this.#turn(() => {
      for (const command of pending(this.plan, this.#state)) this.#carryOut(command)
    })
  }

  /** Takes a fact in; what it causes is carried out as far as it may be before the commit. */
  record(fact: Fact, inboxId?: string): void {
    if (this.#phase !== 'live') return
    this.#facts.push({ fact, inboxId })
    this.#turn()
  }

  /** Takes what reached it from outside, in order. An item is taken once, however often it is read. */
  receive(items: readonly InboxItem[]): void {
    for (const item of items) {
      if (this.#phase !== 'live' || this.#inboxTaken.has(item.id)) continue
      this.#inboxTaken.add(item.id)
      const answer = factOf(item, this.#state, this.#services.clock.now())
      if (answer.type === 'fact') this.record(answer.fact, item.id)
      else void this.#rollBack(answer, item.id)
    }
  }

  /** Takes over what a dead node left: the takeover is on record before anything is performed again. */
  recover(from: string): void {
    this.#turn(() => {
      this.#apply({ type: 'execution.recovered', data: { from } }, undefined)
      for (const command of pending(this.plan, this.#state)) this.#carryOut(command)
    })
  }

  /** Performs nothing new; lets go of the execution as soon as no attempt runs, for another node to claim at once. */
  drain(): void {
    this.#isDraining = true
    this.#turn()
  }

  /** Aborts what may be performed again elsewhere. Answers how long (ms) the attempts that are left may still take. */
  abortRepeatable(): number {
    const longest = this.#attempts.abortRepeatable('the node is stopping')
    this.#turn()
    return longest
  }

  /** This node is dead: nothing is written or told any more. */
  drop(error: Error): void {
    this.#phase = 'dropped'
    this.#halt('this node lost the execution')
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }

  /** Out of service until somebody asks for a `retry`: a bug or bad data must not hurt other executions. The journal is kept. */
  quarantine(type: string, message: string, cause?: Error): void {
    const error = errorFact(type, message)
    const { errorId } = error
    this.#services.log.error(
      { executionId: this.id, seq: this.#state.seq, errorId, err: cause },
      `quarantined: ${message}`,
    )
    this.#halt('the execution is quarantined')
    this.#draft.effects.length = 0
    const event: Event = { seq: this.#nextSeq(), at: this.#now(), type: 'execution.quarantined', data: { error } }
    Object.assign(this.#state, { seq: event.seq, status: 'failed', error, requested: null, completedAt: event.at })
    this.#draft.add(encode(this.id, event, this.#state.percentage))
    this.#phase = 'live'
    this.#submit()
  }

  committed(append: Append): void {
    if (this.#phase === 'dropped') return
    const { effects } = this.#inFlight!
    this.#inFlight = null
    for (const id of append.inboxIds) this.#inboxTaken.delete(id)
    this.#services.onCommitted(this, append)
    if (this.#draft.isEmpty) for (const waiter of this.#waiters.splice(0)) waiter.resolve()
    if (this.#phase === 'leaving') return this.#leave()
    this.#snapshots.afterCommit(this.#state, append, this.#draft.isEmpty)
    this.#turn(() => this.#perform(effects))
  }

  abandoned(error: Error): void {
    this.drop(error)
  }

  rejected(append: Append, error: Error): void {
    this.#inFlight = null
    this.#draft = new Draft()
    if (append.insert !== undefined) {
      this.drop(error)
      return this.#leave()
    }
    this.#draft.inboxIds.push(...append.inboxIds)
    this.#state.seq = append.events[0]!.seq - 1
    this.quarantine('InternalError', `PostgreSQL refuses to store what happened: ${error.message}`, error)
  }

  /** Works off the facts, then hands the draft over. What is called meanwhile only adds to it. */
  #turn(before?: () => void): void {
    if (this.#isTurning) return before?.()
    this.#isTurning = true
    try {
      before?.()
      if (this.#phase === 'live') this.#fold()
    } catch (thrown) {
      this.#facts = []
      return this.quarantine('InternalError', `a bug in the engine: ${(thrown as Error).message}`, thrown as Error)
    } finally {
      this.#isTurning = false
    }
    this.#submit()
    if (this.#phase === 'live') this.#park()
  }

  #fold(): void {
    const until = this.#services.clock.monotonic() + LONGEST_TURN_MS
    for (let count = 1; ; count++) {
      if (this.#facts.length === 0 && this.#isDueToStart()) this.#facts.push(this.#started())
      const next = this.#facts.shift()
      if (next === undefined) return
      this.#apply(next.fact, next.inboxId)
      if (this.#draft.events.length >= AHEAD_EVENTS || this.#draft.bytes >= AHEAD_BYTES) return
      if (count % 64 === 0 && this.#facts.length > 0 && this.#services.clock.monotonic() > until) {
        setImmediate(() => this.#turn())
        return
      }
    }
  }

  #isDueToStart(): boolean {
    const { status, requested, startAt } = this.#state
    return status === 'pending' && requested === null && (startAt === null || startAt <= this.#services.clock.now())
  }

  #started(): { fact: Fact; inboxId: undefined } {
    const { traceparent } = this.row
    return {
      fact: { type: 'execution.started', data: traceparent === null ? {} : { traceparent } },
      inboxId: undefined,
    }
  }

  /** The fact is in the draft before transition sees it; the percentage that it leads to goes with it. */
  #apply(fact: Fact, inboxId: string | undefined): void {
    const state = this.#state
    const event = { ...fact, seq: this.#nextSeq(), at: this.#now() } as Event
    const row = encode(this.id, event, state.percentage)
    this.#draft.add(row, inboxId)
    const commands = transition(this.plan, state, event)
    row.percentage = state.percentage
    this.#attempts.hold(row.text.length)
    const count = stepCountOf(this.plan, state, event)
    if (count !== null) this.#draft.steps.push(count)
    for (const command of commands) this.#carryOut(command)
  }

  #carryOut(command: Command): void {
    switch (command.type) {
      case 'perform':
        this.#draft.effects.push(command)
        return
      case 'abort':
        return this.#attempts.abort(command.path)
      case 'set_timer':
        return this.#timers.set(`${command.timer} ${command.path}`, command.dueAt, () => this.#fired(command))
      case 'clear_timer':
        return this.#timers.clear(`${command.timer} ${command.path}`)
      default: {
        if (command.type === 'mark_started' && this.#isDraining) return
        const fact = answerTo(command, this.plan, this.#state, this.row)
        if (fact !== null) this.#facts.push({ fact, inboxId: undefined })
      }
    }
  }

  #fired(timer: Extract<Command, { type: 'set_timer' }>): void {
    const fact = timerFact(timer, this.plan, this.#state)
    if (fact !== null) this.record(fact)
  }

  /** The events that caused them are committed. What has moved on meanwhile is not performed. */
  #perform(effects: readonly Effect[]): void {
    if (this.#phase !== 'live') return
    for (const { path, attempt } of effects) {
      const step = this.#state.steps.get(path)
      if (step?.status !== 'running' || step.attempt !== attempt) continue
      this.#attempts.perform(this.#state, step, this.#isDraining)
    }
  }

  /** Hands the draft over unless an append is under way. Effects without events were caused by what is committed already. */
  #submit(): void {
    if (this.#inFlight !== null || this.#phase === 'dropped' || this.#phase === 'left') return
    if (this.#draft.isEmpty) {
      const effects = this.#draft.effects.splice(0)
      if (effects.length > 0) this.#turn(() => this.#perform(effects))
      return
    }
    const draft = this.#draft
    this.#draft = new Draft()
    const before = this.#image
    const image = imageOf(this.#state, draft, before, this.#services)
    if (image !== null) this.#image = image
    if (image?.owner === null) this.#phase = 'leaving'
    const append = draft.toAppend(this.row, image, before === null, statusChange(before, this.#state))
    this.#inFlight = { append, effects: draft.effects }
    this.#services.journal.append(append, this)
  }

  /** Nothing to do for a while: the database wakes it. */
  #park(): void {
    this.#timers.clear('park')
    if (this.#inFlight !== null || this.#attempts.count > 0 || this.#facts.length > 0) return
    if (this.#isDraining) return this.record({ type: 'execution.released', data: { reason: 'drain' } })
    const { clock, limits } = this.#services
    const wakeAt = parkingTime(this.#state, this.#timers.earliest(), clock.now() + limits.parkAfterMs)
    if (wakeAt === undefined) return
    this.#timers.set('park', clock.now() + limits.parkAfterMs, () => {
      if (this.#inFlight === null && this.#attempts.count === 0)
        this.record({ type: 'execution.parked', data: { wakeAt } })
    })
  }

  #leave(): void {
    this.#halt('the execution was let go')
    this.#phase = 'left'
    this.#services.onLeft(this)
  }

  #halt(reason: string): void {
    this.#attempts.abortAll(reason)
    this.#timers.clearAll()
    for (const { inboxId } of this.#facts.splice(0)) if (inboxId !== undefined) this.#inboxTaken.delete(inboxId)
  }

  /** Replaces the state by the one at a checkpoint. Items that reach the inbox meanwhile are read again afterwards. */
  async #rollBack(request: RollbackRequest, inboxId: string): Promise<void> {
    this.#phase = 'rolling_back'
    this.#halt('the execution is rolled back')
    try {
      await this.written()
      const { state, fact } = await rolledBackState(request, this.#state, this.row, this.#services)
      if ((this.#phase as Phase) === 'dropped') return
      this.#state = state
      this.#phase = 'live'
      this.record(fact, inboxId)
    } catch (thrown) {
      if ((this.#phase as Phase) === 'dropped') return
      this.#phase = 'live'
      this.quarantine(
        'InternalError',
        `the history cannot be rolled back: ${(thrown as Error).message}`,
        thrown as Error,
      )
    }
    this.#services.pokeInbox(this.id)
  }

  #nextSeq(): number {
    return this.#state.seq + 1
  }

  #now(): number {
    return Math.max(this.#services.clock.now(), this.#state.at)
  }
}
