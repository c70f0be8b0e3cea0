import type { Plan } from '../definition/plan.ts'
import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { InboxItem, InboxKey } from '../repository/inbox.ts'
import { Attempts } from './attempts.ts'
import type { Command } from './core/command.ts'
import type { Event, Fact } from './core/event.ts'
import { isMoot } from './core/moot.ts'
import { pending } from './core/pending.ts'
import type { ExecutionState } from './core/state.ts'
import { transition } from './core/transition.ts'
import type { Effect } from './draft.ts'
import { encode } from './encode.ts'
import { errorFact } from './error-fact.ts'
import { ExecutionWriter, type WriterOutcomes } from './execution-writer.ts'
import { FactQueue, type Queued } from './fact-queue.ts'
import { answerTo, isAccompanying, startFact } from './facts.ts'
import type { LoadedExecution } from './history.ts'
import { factOf, type RollbackRequest } from './inbox-fact.ts'
import { Outgoing } from './outgoing.ts'
import { Parking } from './parking.ts'
import { rollbackDue, rolledBack } from './rollback.ts'
import type { Services } from './services.ts'
import { quarantined } from './set-aside.ts'
import { Snapshots } from './snapshots.ts'
import { StateRoom } from './state-room.ts'
import { stepCountOf } from './statistics.ts'
import { StepTimers } from './step-timers.ts'

/*
 * The loop of one execution that this node owns: facts in → journal → transition → commands out.
 *
 *   live ◀──▶ rolling_back       an old state is being read; attempts are aborted, nothing else is taken in
 *    ├──────▶ leaving ──▶ left   the append that gives the execution away is under way, then committed
 *    └──────▶ dropped            this node is dead: nothing is written or told any more
 */
type Phase = 'live' | 'rolling_back' | 'leaving' | 'left' | 'dropped'

/** How long it may keep the event loop. */
const LONGEST_TURN_MS = 10
export class Executor implements WriterOutcomes {
  readonly id: string
  readonly plan: Plan
  readonly row: ExecutionRow
  #state: ExecutionState
  #phase: Phase = 'live'
  #isTurning = false
  #isDraining = false
  readonly #facts = new FactQueue()
  readonly #services: Services
  readonly #writer: ExecutionWriter
  readonly #timers: StepTimers
  readonly #room: StateRoom
  readonly #attempts: Attempts
  readonly #snapshots: Snapshots
  readonly #outgoing: Outgoing
  readonly #parking: Parking

  /** `read`: what a load found; null for a new one, whose row is not in the database yet. */
  constructor(row: ExecutionRow, plan: Plan, state: ExecutionState, services: Services, read: LoadedExecution | null) {
    this.id = row.id
    this.plan = plan
    this.row = row
    this.#state = state
    this.#services = services
    this.#writer = new ExecutionWriter(row, read?.basis ?? null, services, this)
    this.#room = new StateRoom(row.id, services, read?.bytes ?? 0)
    const record = (fact: Fact): void => this.record(fact)
    const present = (): ExecutionState => this.#state
    const look = (): void => this.#turn()
    this.#timers = new StepTimers(services.clock, plan, present, record)
    this.#attempts = new Attempts(row, plan, services, this.#room, record)
    this.#snapshots = new Snapshots(row.id, plan.checkpoints.compact, services)
    this.#outgoing = new Outgoing(row, plan, services, this.#writer, present, record, look)
    this.#parking = new Parking(this.#timers, services, {
      isQuiet: () => this.#writer.isIdle && this.#attempts.areOver && this.#outgoing.isIdle && this.#facts.isEmpty,
      ...{ record, look },
    })
  }

  /** Begins a new execution; its row, once that is committed. Rejects when it never will be. */
  async begin(): Promise<ExecutionRow> {
    this.#turn()
    await this.#writer.written()
    return this.#writer.inserted ?? this.row
  }

  /** Takes it on after a claim. `takeover` names the dead node that left it, if known: that is on record before all else. */
  resume(takeover?: { readonly from: string | null }): void {
    this.#turn(() => {
      if (takeover !== undefined) this.#apply({ type: 'execution.recovered', data: takeover }, undefined)
      for (const command of pending(this.plan, this.#state)) this.#carryOut(command)
    })
  }

  /** Takes a fact in; what it causes is carried out as far as it may be before the commit. */
  record(fact: Fact, inboxKey?: InboxKey): void {
    if (this.#phase !== 'live') return
    this.#facts.push(fact, inboxKey)
    this.#turn()
  }

  /** Takes what reached it from outside, in order. */
  receive(items: readonly InboxItem[]): void {
    for (const item of items) {
      if (this.#phase !== 'live' || !this.#facts.isEmpty || !this.#facts.take(item)) continue
      const answer = factOf(item, this.#state, this.#services.clock.now())
      if (answer.type === 'fact') this.record(answer.fact, item)
      else void this.#rollBack(answer, item)
    }
  }

  /** Its inbox was read since it came here: should nothing have been in it, it is not held for ever. */
  inboxRead(): void {
    this.#parking.inboxRead()
    if (this.#phase === 'live' && this.#state.status !== 'running') this.#turn()
  }

  /** The append that gives it away is under way, or was. */
  get isLeaving(): boolean {
    return this.#phase === 'leaving' || this.#phase === 'left'
  }

  /** Performs what was left undone while the lease was too old. */
  performAgain(): void {
    if (this.#phase === 'live') this.#turn(() => this.#attempts.performUndone(this.#state, this.#isDraining))
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
  abandoned(error: Error): void {
    this.#phase = 'dropped'
    this.#halt('this node lost the execution')
    this.#writer.giveUp(error)
  }

  /** Out of service until somebody asks for a `retry`: a bug or bad data must not hurt other executions. The journal is kept. */
  quarantine(type: string, message: string, cause?: Error): void {
    const error = errorFact(type, message)
    this.#services.log.error({ executionId: this.id, errorId: error.errorId, err: cause }, `quarantined: ${message}`)
    this.#halt('the execution is quarantined')
    this.#writer.draft.takeEffects()
    this.#writer.draft.add(quarantined(this.#state, error, this.#writer.timeAfter(this.#state)))
    this.#outgoing.endHere(this.#writer.draft)
    this.#phase = 'live'
    this.#submit()
  }

  committed(append: Append, effects: readonly Effect[]): void {
    if (this.#phase === 'dropped') return
    this.#facts.answered(append.inboxKeys)
    this.#services.onCommitted(this, append)
    if (this.#phase === 'leaving') return this.#leave()
    this.#snapshots.afterCommit(this.#state, append, this.#writer.draft.isEmpty)
    this.#turn(() => this.#perform(effects))
  }

  rejected(append: Append, error: Error): void {
    if (append.insert !== undefined) {
      this.abandoned(error)
      return this.#leave()
    }
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
      this.#facts.clear()
      return this.quarantine('InternalError', `a bug in the engine: ${(thrown as Error).message}`, thrown as Error)
    } finally {
      this.#isTurning = false
    }
    this.#submit()
    if (this.#phase === 'live') this.#parking.consider(this.#state, this.#isDraining)
  }

  #fold(): void {
    // A turn of a few facts does not ask what time it is.
    let until: number | null = null
    for (let count = 1; ; count++) {
      const next = this.#facts.shift()
      const fact = this.#factIn(next)
      if (fact === null && next === undefined) return
      if (fact !== null && !isMoot(this.#state, fact)) this.#apply(fact, next?.inboxKey)
      if (this.#writer.draft.isFull) return
      if (count % 8 !== 0 || this.#facts.isEmpty) continue
      const now = this.#services.clock.monotonic()
      until ??= now + LONGEST_TURN_MS
      if (now > until) return void this.#services.clock.soon(() => this.#turn())
    }
  }

  /** What waited, as a fact; when nothing did, that the execution starts. Null: there is none, or the step has moved on. */
  #factIn(next: Queued | undefined): Fact | null {
    if (next === undefined) return startFact(this.plan, this.#state, this.row, this.#services.clock.now())
    if ('fact' in next) return next.fact
    return answerTo(next.question, this, this.#state, this.#room.bounds(this.#state), this.#services.clock)
  }

  /** The fact is in the draft before transition sees it; the percentage that it leads to goes with it. */
  #apply(fact: Fact, inboxKey: InboxKey | undefined): void {
    const event = { ...fact, seq: this.#state.seq + 1, at: this.#writer.timeAfter(this.#state) } as Event
    const row = encode(this.id, event, this.#state.percentage)
    this.#writer.draft.add(row, inboxKey)
    const commands = transition(this.plan, this.#state, event)
    row.percentage = this.#state.percentage
    this.#room.hold(row.text.length)
    const count = stepCountOf(this.plan, event)
    if (count !== null) this.#writer.draft.count(count)
    this.#outgoing.accompany(this.#writer.draft, event)
    for (const command of commands) this.#carryOut(command)
  }

  #carryOut(command: Command): void {
    switch (command.type) {
      case 'perform':
        this.#writer.draft.perform(command)
        return
      case 'abort':
        return this.#attempts.abort(command.path)
      case 'set_timer':
      case 'clear_timer':
        return this.#timers.carryOut(command)
      case 'roll_back':
        return void this.#services.clock.soon(() => void this.#rollBack(rollbackDue(this.#state)))
      default: {
        if (isAccompanying(command)) return this.#outgoing.carryOut(command, this.#writer.draft)
        if (command.type === 'mark_started' && this.#isDraining) return
        this.#facts.ask(command)
      }
    }
  }

  #perform(effects: readonly Effect[]): void {
    if (this.#phase === 'live') this.#attempts.performAll(this.#state, effects, this.#isDraining)
  }

  /** Hands the draft over unless an append is under way. Effects without events were caused by what is committed already. */
  #submit(): void {
    if (this.#phase === 'dropped' || this.#phase === 'left') return
    if (this.#writer.isIdle) {
      const effects = this.#writer.draft.takeEffects()
      if (effects.length > 0) this.#turn(() => this.#perform(effects))
    } else if (this.#writer.send(this.#state)) this.#phase = 'leaving'
  }

  #leave(): void {
    this.#halt('the execution was let go')
    this.#phase = 'left'
    this.#services.onLeft(this)
  }

  #halt(reason: string): void {
    this.#attempts.abortAll(reason)
    this.#outgoing.forget()
    this.#timers.clearAll()
    this.#facts.clear()
  }

  /** Replaces the state by the one at a checkpoint. Items that reach the inbox meanwhile are read again afterwards. */
  async #rollBack(request: RollbackRequest | null, inboxKey?: InboxKey): Promise<void> {
    if (request === null || this.#phase !== 'live') return
    this.#phase = 'rolling_back'
    this.#halt('the execution is rolled back')
    const outcome = await rolledBack(request, this.#writer, () => this.#state, this.row, this.#services)
    if ((this.#phase as Phase) !== 'rolling_back') return
    this.#phase = 'live'
    if (outcome.type === 'ready') {
      this.#state = outcome.state
      this.#room.holdAnew(outcome.bytes)
      this.record(outcome.fact, inboxKey)
    } else if (outcome.type === 'unreadable') {
      if (inboxKey !== undefined) this.#writer.draft.answer(inboxKey)
      this.quarantine('InternalError', `the history cannot be rolled back: ${outcome.error.message}`, outcome.error)
    } else {
      if (inboxKey !== undefined) this.#facts.answered([inboxKey])
      this.resume()
    }
    this.#services.pokeInbox(this.id)
  }
}
