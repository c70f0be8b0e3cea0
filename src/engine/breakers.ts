import { LRUCache } from 'lru-cache'
import type { Json } from '../definition/json.ts'
import type { BreakerPolicy } from '../definition/plan.ts'
import type { Circuit, CircuitError, CircuitMode, Circuits } from '../repository/circuit-breakers.ts'
import type { CallOutcome } from './call-outcome.ts'
import type { Clock } from './clock.ts'
import { FailureWindow } from './failure-window.ts'
import type { Log } from './log.ts'
import { PROBE_LEASE_MS, SharedCircuits } from './shared-circuits.ts'

export interface BreakersOptions {
  readonly circuits: Circuits
  readonly clock: Clock
  readonly log: Log
  /** How often nodes look at what the others found out, ms. */
  readonly everyMs: number
  /** Circuits open by themselves; operators may hold them open in any case. */
  readonly isAutomatic: boolean
  /** Tells the other nodes that circuits have changed; they look by themselves too. */
  readonly tell: () => void
  /** Cuts secrets out of what is stored. */
  readonly redact: (value: Json) => Json
}

/** A call of a target that may be made; `end` says once how it went. */
export interface Admitted {
  readonly type: 'admitted'
  end(outcome: CallOutcome, error: CircuitError | null): void
}

/** A call that must not be made: the next try is worth it then (ms since 1970). */
export interface Refused {
  readonly type: 'refused'
  readonly until: number
}

export type Admission = Admitted | Refused

/** A circuit as it is now. */
export interface CircuitView extends Circuit {
  readonly state: 'closed' | 'open' | 'half_open'
  readonly isProbed: boolean
}

/** How long a call waits for somebody else's probe before it is put off. */
const PROBE_WAIT_MS = 1_000
/** A circuit that an operator holds open is asked again in ever longer intervals, up to this or the policy's own. */
const LONGEST_PAUSE_MS = 120_000
/** Targets of which calls are counted; the one called the longest ago is forgotten first. */
const MOST_COUNTED = 10_000

const sentOff: Admitted = { type: 'admitted', end() {} }

/**
 * The circuit breakers of this node: it counts what it sees of each target itself, and shares with all others, through
 * PostgreSQL, which circuits are open and who may probe. While a circuit is closed a call costs a look-up in a map.
 */
export class Breakers {
  readonly #options: BreakersOptions
  readonly #shared: SharedCircuits
  readonly #windows = new LRUCache<string, Map<number, FailureWindow>>({ max: MOST_COUNTED })
  /** Circuits that this node is just opening: calls wait for that. Never rejects. */
  readonly #opening = new Map<string, Promise<void>>()
  /** Targets of which this node is just asking for the probe. */
  readonly #asking = new Set<string>()
  readonly #writes = new Set<Promise<void>>()
  /** How many circuits this node has opened, and how many calls it has put off. */
  opened = 0
  refused = 0

  constructor(options: BreakersOptions) {
    const { circuits, clock, log, everyMs } = options
    this.#options = options
    const onClosed = (key: string): void => {
      this.#windows.delete(key)
      log.info({ circuit: key }, 'circuit closed')
    }
    this.#shared = new SharedCircuits({ circuits, clock, log, everyMs, onClosed })
  }

  /** How many circuits are open, half-open or held. */
  get guarded(): number {
    return this.#shared.size
  }

  /** Whether a target may be called now. `refusals`: how often this very step was put off before. Never rejects. */
  admit(key: string, policy: BreakerPolicy, refusals: number): Admission | Promise<Admission> {
    this.#shared.note(key)
    if (!this.#shared.areKnown) return this.#afterFirstReading(key, policy, refusals)
    const opening = this.#opening.get(key)
    if (opening !== undefined) return opening.then(() => this.#decide(key, policy, refusals))
    return this.#decide(key, policy, refusals)
  }

  #decide(key: string, policy: BreakerPolicy, refusals: number): Admission | Promise<Admission> {
    const circuit = this.#shared.get(key)
    if (circuit === undefined) return this.#counted(key, policy)
    if (circuit.mode === 'closed') return sentOff
    const now = this.#options.clock.now()
    if (circuit.mode === 'open') return this.#refuse(now + pauseMs(policy, refusals), policy)
    if (circuit.openUntil! > now) return this.#refuse(circuit.openUntil!, policy)
    return this.#halfOpen(circuit, policy)
  }

  /** Circuits by key, closed ones too, of targets that some node has called lately. */
  async list(limit: number, after: string | null): Promise<CircuitView[]> {
    const circuits = await this.#options.circuits.list(limit, after)
    return circuits.map((circuit) => viewOf(circuit, this.#options.clock.now()))
  }

  async find(key: string): Promise<CircuitView | null> {
    const circuit = await this.#options.circuits.find(key)
    return circuit && viewOf(circuit, this.#options.clock.now())
  }

  /** An operator's word; in force here at once and on the other nodes when they look next. */
  async setMode(key: string, mode: CircuitMode, reason: string | null): Promise<CircuitView> {
    const circuit = await this.#options.circuits.setMode(key, mode, reason)
    this.#windows.delete(key)
    this.#options.log.warn({ circuit: key, mode, reason }, 'circuit set by an operator')
    this.#options.tell()
    await this.#shared.changed()
    return viewOf(circuit, this.#options.clock.now())
  }

  /** Another node has changed circuits. */
  heard(): void {
    if (this.#shared.areKnown) void this.#write(() => this.#shared.changed())
  }

  /** Idempotent. What is being told to the database is told first. */
  async stop(): Promise<void> {
    await this.#shared.stop()
    await Promise.all(this.#writes)
  }

  async #afterFirstReading(key: string, policy: BreakerPolicy, refusals: number): Promise<Admission> {
    try {
      await this.#shared.read()
    } catch {
      // Nothing can be recorded either while the database does not answer: this call decides nothing.
      return this.#counted(key, policy)
    }
    return this.admit(key, policy, refusals)
  }

  #counted(key: string, policy: BreakerPolicy): Admitted {
    return {
      type: 'admitted',
      end: (outcome, error) => {
        if (outcome === 'unknown' || !this.#options.isAutomatic || this.#shared.get(key) !== undefined) return
        const window = this.#windowOf(key, policy.windowMs)
        const now = this.#options.clock.now()
        window.record(outcome === 'failed', now)
        if (error === null || outcome !== 'failed' || !window.hasTripped(policy.failureThreshold, now)) return
        if (this.#opening.has(key)) return
        const opening = this.#write(() => this.#open(key, policy, error)).finally(() => this.#opening.delete(key))
        this.#opening.set(key, opening)
      },
    }
  }

  #windowOf(key: string, windowMs: number): FailureWindow {
    const windows = this.#windows.get(key) ?? new Map<number, FailureWindow>()
    const window = windows.get(windowMs) ?? new FailureWindow(windowMs)
    this.#windows.set(key, windows.set(windowMs, window))
    return window
  }

  async #open(key: string, { openMs }: BreakerPolicy, error: CircuitError): Promise<void> {
    const circuit = await this.#options.circuits.open(key, openMs, this.#redacted(error))
    await this.#shared.changed()
    if (circuit === null) return
    this.opened += 1
    this.#options.log.warn({ circuit: key, openUntil: circuit.openUntil, error: circuit.error }, 'circuit opened')
    this.#options.tell()
  }

  /** One call probes, on one node; the others wait a little for what it finds out, then they are put off. */
  async #halfOpen({ key }: Circuit, policy: BreakerPolicy): Promise<Admission> {
    const { clock } = this.#options
    const atOnce = this.#isFree(key) ? await this.#claimProbe(key) : null
    if (atOnce !== null) return atOnce
    await this.#shared.next(PROBE_WAIT_MS)
    const now = this.#shared.get(key)
    if (now === undefined) return this.#counted(key, policy)
    if (now.mode === 'closed') return sentOff
    // Nobody probes: this node's clock was ahead of the database's, or the probe told nothing.
    const late = now.mode === 'auto' && now.openUntil! <= clock.now() && this.#isFree(key)
    const probe = late ? await this.#claimProbe(key) : null
    if (probe !== null) return probe
    // Spread over a while: what waits here must not fall upon the target at once when it is back.
    const until = Math.max(now.openUntil ?? 0, clock.now() + policy.openMs * (0.5 + 0.5 * clock.random()))
    return this.#refuse(until, policy)
  }

  /** As far as this node knows nobody probes it. */
  #isFree(key: string): boolean {
    const probeUntil = this.#shared.get(key)?.probeUntil ?? null
    return !this.#asking.has(key) && (probeUntil === null || probeUntil <= this.#options.clock.now())
  }

  async #claimProbe(key: string): Promise<Admitted | null> {
    const { circuits, clock, log } = this.#options
    const probeId = clock.newId()
    this.#asking.add(key)
    try {
      if (!(await circuits.claimProbe(key, probeId, PROBE_LEASE_MS))) return null
    } catch (error) {
      log.warn({ circuit: key, err: error }, 'no probe: the database does not answer')
      return null
    } finally {
      this.#asking.delete(key)
    }
    this.#shared.probing(probeId, true)
    log.info({ circuit: key, probe: probeId }, 'circuit is probed')
    // So that nobody here asks for it too.
    void this.#write(() => this.#shared.changed())
    const end: Admitted['end'] = (outcome, error) =>
      void this.#write(() => this.#endProbe(key, probeId, outcome, error))
    return { type: 'admitted', end }
  }

  async #endProbe(key: string, probeId: string, type: CallOutcome, error: CircuitError | null): Promise<void> {
    const { circuits, log } = this.#options
    this.#shared.probing(probeId, false)
    log.info({ circuit: key, probe: probeId, outcome: type }, 'circuit was probed')
    if (type === 'failed' && error !== null)
      await circuits.endProbe(key, probeId, { type, error: this.#redacted(error) })
    else await circuits.endProbe(key, probeId, { type: type === 'answered' ? type : 'unknown' })
    this.#options.tell()
    await this.#shared.changed()
  }

  #refuse(until: number, { openMs }: BreakerPolicy): Refused {
    this.refused += 1
    // Not all in one moment, the first of them probes; and not before the database's clock has come there too.
    const spreadMs = Math.min(1_000, openMs / 10) * (0.5 + 0.5 * this.#options.clock.random())
    return { type: 'refused', until: Math.ceil(until + spreadMs) }
  }

  #redacted({ type, message }: CircuitError): CircuitError {
    return this.#options.redact({ type, message }) as unknown as CircuitError
  }

  /** What is not told is found out again: by the next failure, or when the probe's lease has run out. */
  #write(task: () => Promise<void>): Promise<void> {
    const writing = task()
      .catch((error) => this.#options.log.warn({ err: error }, 'a circuit was not changed'))
      .finally(() => this.#writes.delete(writing))
    this.#writes.add(writing)
    return writing
  }
}

const pauseMs = ({ openMs }: BreakerPolicy, refusals: number): number =>
  Math.min(openMs * 2 ** Math.min(refusals, 20), Math.max(openMs, LONGEST_PAUSE_MS))

const viewOf = (circuit: Circuit, now: number): CircuitView => ({
  ...circuit,
  state: stateOf(circuit, now),
  isProbed: circuit.probeUntil !== null && circuit.probeUntil > now,
})

function stateOf({ mode, openedAt, openUntil }: Circuit, now: number): CircuitView['state'] {
  if (mode !== 'auto') return mode
  if (openedAt === null) return 'closed'
  return openUntil! > now ? 'open' : 'half_open'
}
