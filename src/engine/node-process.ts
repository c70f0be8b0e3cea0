import { CairnError } from '../errors.ts'
import { isUnavailable } from '../repository/classify.ts'
import type { Approvals } from './approvals.ts'
import { type Assembly, assemble } from './assembly.ts'
import { type Clock, SystemClock } from './clock.ts'
import { FORMATS } from './core/state.ts'
import type { Definitions } from './definitions.ts'
import type { EngineSettings } from './engine-options.ts'
import { forgetPast } from './failover.ts'
import type { NodeGauges } from './node-gauges.ts'
import { NodeLife, type NodeParts } from './node-life.ts'
import { Outage } from './outage.ts'
import { reasonsAgainst } from './readiness.ts'
import type { Requests } from './requests.ts'
import { SNAPSHOT_BYTES } from './snapshots.ts'
import type { Starts } from './starts.ts'
import type { StatisticsReader } from './statistics-reader.ts'
import { openStorage, type Storage } from './storage.ts'

/*
 * This node as a process: it opens the database, then lives one life after another.
 *
 *   stopped ──start──▶ starting (waits for the database) ──▶ running ◀──▶ reborn (the life before was declared dead)
 *      ▲                   │                                   │
 *      │                   └──────────────drain────────────────┤
 *      └── stopping ◀──stop── draining (gives its executions away; still takes requests, for other nodes to carry out)
 */
type Phase = 'stopped' | 'starting' | 'running' | 'draining' | 'stopping'

/** What a node is built on; the simulation puts it on a clock and a store of its own. */
export interface Seams {
  readonly clock: Clock
  readonly openStorage: (settings: EngineSettings) => Promise<Storage>
  /** What this release can fold, oldest first: tests put releases side by side that differ in it. */
  readonly formats: readonly number[]
  /** How much an execution writes at least between two snapshots; the simulation's histories are short. */
  readonly snapshotBytes: number
}

const RETRY_MS = 1_000

export class NodeProcess {
  readonly #settings: EngineSettings
  readonly #clock: Clock
  readonly #outage: Outage
  readonly #openStorage: Seams['openStorage']
  readonly #formats: Seams['formats']
  readonly #snapshotBytes: number
  #phase: Phase = 'stopped'
  #running: Assembly | null = null
  #life: NodeLife | null = null
  #starting: Promise<void> | null = null
  #draining: Promise<void> | null = null
  #stopping: Promise<void> | null = null
  #dying: Promise<void> = Promise.resolve()
  #wake: () => void = () => {}

  constructor(settings: EngineSettings, seams: Partial<Seams> = {}) {
    const clock = seams.clock ?? new SystemClock()
    this.#clock = clock
    this.#outage = new Outage(settings.log, () => clock.monotonic())
    this.#settings = { ...settings, log: this.#outage.log }
    this.#openStorage = seams.openStorage ?? openStorage
    this.#formats = seams.formats ?? FORMATS
    this.#snapshotBytes = seams.snapshotBytes ?? SNAPSHOT_BYTES
  }

  get parts(): NodeParts {
    return this.#up.parts
  }
  get definitions(): Definitions {
    return this.#up.definitions
  }
  get starts(): Starts {
    return this.#up.starts
  }
  get requests(): Requests {
    return this.#up.requests
  }
  get approvals(): Approvals {
    return this.#up.approvals
  }
  get statistics(): StatisticsReader {
    return this.#up.statistics
  }

  start(): Promise<void> {
    this.#starting ??= this.#start()
    return this.#starting
  }

  drain(): Promise<void> {
    this.#draining ??= this.#drain()
    return this.#draining
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async readiness(): Promise<readonly string[]> {
    if (this.#phase === 'starting') return ['the engine is starting: it waits for PostgreSQL']
    if (this.#phase !== 'running' || this.#running === null) return [`the engine is ${this.#phase}`]
    return reasonsAgainst(this.#life, this.#running.storage, this.#clock)
  }

  readonly gauges: NodeGauges = {
    running: () => this.#life?.owned.size ?? 0,
    queueDepth: () => this.#life?.journal.depth() ?? 0,
    subscribers: () => (this.#running === null ? 0 : this.#running.parts.feed.watched().length),
    leaseAgeMs: () => this.#life?.ownership.leaseAgeMs ?? null,
    circuits: () => this.#running?.parts.breakers ?? { guarded: 0, opened: 0 },
    slots: () => this.#life?.slotSettling ?? { asked: 0, granted: 0, refused: 0 },
    rateLimits: () => this.#running?.parts.rateLimits ?? { granted: 0, deferred: 0 },
    removed: () => {
      const { executions = 0, events = 0 } = this.#running?.housekeeping?.retention ?? {}
      return { executions, retiredEvents: events, compactedEvents: this.#running?.parts.compaction.events ?? 0 }
    },
  }

  get #up(): Assembly {
    // While it starts, the tables may not be there yet, or be those of an older release.
    if (this.#running === null || this.#phase === 'starting' || this.#phase === 'stopped')
      throw new CairnError('DATABASE_UNAVAILABLE')
    return this.#running
  }

  #aliveLife(): NodeLife {
    if (this.#phase === 'stopping' || (this.#phase === 'draining' && this.#life === null))
      throw new CairnError('ENGINE_STOPPING')
    if (this.#life === null) throw new CairnError('DATABASE_UNAVAILABLE')
    return this.#life
  }

  async #start(): Promise<void> {
    this.#phase = 'starting'
    const storage = await this.#openStorage(this.#settings)
    const running = assemble(storage, {
      settings: this.#settings,
      clock: this.#clock,
      outage: this.#outage,
      formats: this.#formats,
      snapshotBytes: this.#snapshotBytes,
      life: () => this.#life,
      aliveLife: () => this.#aliveLife(),
    })
    this.#running = running
    storage.onFailover?.(() => this.#failedOver(running))
    await this.#untilDatabaseAnswers(() => storage.prepare())
    await this.#beginLife(storage.aloneAt)
    if (this.#isStopping()) return
    running.parts.feed.start()
    running.statistics.start()
    running.housekeeping?.start()
    this.#phase = 'running'
  }

  /** Registers this node under a new id; tries until the database takes it. One that lived before is not particular about why. */
  async #beginLife(aloneAt: number | null, isWorthWaiting = isUnavailable): Promise<void> {
    if (this.#running === null) return
    const { parts } = this.#running
    await this.#untilDatabaseAnswers(async () => {
      const life = new NodeLife(parts, (reason) => this.#declareDead(life, reason))
      await life.start()
      if (this.#isStopping()) return life.stop()
      this.#life = life
    }, isWorthWaiting)
    if (this.#life === null || aloneAt === null) return
    // The data folder's lock proves that every node that was on it then is dead: no need to wait for their leases.
    const dead = await parts.store.removeOtherNodes(this.#life.node, aloneAt)
    if (dead.length > 0) this.#life.ownership.claimSoon()
  }

  #declareDead(life: NodeLife, reason: string): void {
    // It dies once, and the end that is under way is the one to wait for.
    if (this.#life !== life) return
    this.#dying = this.#die(life, reason).catch((error) => {
      this.#settings.log.error({ err: error }, 'this node cannot begin anew; it stays without executions')
    })
  }

  /** The node was declared dead: it drops everything, and starts over under a new id from what the database holds. */
  async #die(life: NodeLife, reason: string): Promise<void> {
    if (this.#running === null) return
    const { parts, burial } = this.#running
    parts.log.error({ node: life.node, reason }, 'this node is dead; it drops its executions and begins anew')
    this.#life = null
    await life.end(new CairnError('DATABASE_UNAVAILABLE'))
    forgetPast(parts, this.#running.statistics)
    if (this.#isStopping()) return
    await this.#beginLife(null, () => true)
    parts.feed.resync()
    if (await burial.bury(life.node)) (this.#life as NodeLife | null)?.ownership.claimSoon()
  }

  #failedOver({ parts, statistics }: Assembly): void {
    parts.log.warn({}, 'PostgreSQL has failed over; what was read before is read anew')
    forgetPast(parts, statistics)
    parts.feed.resync()
    void this.#life?.checkLoss()
  }

  /** Tries until it succeeds or the engine is stopped; an error that waiting cannot mend is thrown. */
  async #untilDatabaseAnswers(task: () => Promise<void>, isWorthWaiting = isUnavailable): Promise<void> {
    for (let attempt = 1; !this.#isStopping(); attempt++) {
      try {
        return await task()
      } catch (error) {
        if (!isWorthWaiting(error)) throw error
        this.#settings.log.warn({ attempt, err: error }, `PostgreSQL does not answer; next try in ${RETRY_MS} ms`)
        await Promise.race([this.#after(RETRY_MS), new Promise<void>((resolve) => (this.#wake = resolve))])
      }
    }
  }

  /** No life begins any more. */
  #isStopping(): boolean {
    return this.#phase === 'draining' || this.#phase === 'stopping' || this.#phase === 'stopped'
  }

  #after(ms: number): Promise<false> {
    return new Promise((resolve) => void this.#clock.after(ms, () => resolve(false)))
  }

  async #drain(): Promise<void> {
    if (this.#phase === 'stopped') return
    this.#phase = 'draining'
    this.#wake()
    await this.#starting?.catch(() => {})
    await this.#dying
    await this.#life?.drain()
  }

  async #stop(): Promise<void> {
    await this.drain()
    if (this.#phase !== 'stopped') this.#phase = 'stopping'
    const running = this.#running
    // A life that was declared dead meanwhile.
    await this.#dying
    if (running !== null) {
      const housekept = running.housekeeping?.stop()
      await running.statistics.stop()
      await this.#life?.stop()
      await housekept
      await running.parts.feed.stop()
      await running.parts.breakers?.stop()
      await running.parts.rateLimits.stop()
      await running.closeActions()
      await running.storage.close()
    }
    this.#life = null
    this.#running = null
    this.#phase = 'stopped'
  }
}
