import { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import type { Log } from '../../src/engine/log.ts'
import type { Store } from '../../src/repository/store.ts'
import { type Effect, scriptedAction, type Targets } from './effects.ts'
import { modelCircuits } from './model/circuits.ts'
import { modelNotifications, type PostOffice } from './model/notifications.ts'
import type { Server } from './model/server.ts'
import { type ModelStore, modelStore } from './model/store.ts'
import { modelUpkeep } from './model/upkeep.ts'
import { type Fate, Wire } from './model/wire.ts'
import { NodeClock } from './node-clock.ts'
import type { Body, World } from './world.ts'

/** What a node's surroundings are made of. */
export interface Surroundings {
  readonly world: World
  readonly server: Server
  readonly options: EngineOptions
  readonly snapshotBytes: number
  /** How nodes hint each other; null: they poll alone. */
  readonly office: PostOffice | null
  readonly targets: Targets
  /** An effect on the world, at the moment in which it happens. */
  readonly onEffect: (node: SimulatedNode, effect: Effect) => void
  /** Something that must never happen did. */
  readonly onFault: (rule: string, what: string) => void
}

/** One process after another on the same machine: started, killed, stopped, stopped in its tracks. */
export class SimulatedNode {
  readonly name: string
  /** How likely a statement or its answer gets lost. */
  lossRate = 0
  /** How likely a flush or its answer gets lost, or the flush comes late. */
  lateRate = 0
  /** Whatever travels takes up to this long, ms; 0: as usual. */
  slowMs = 0
  /** How long it stands still at its next commit, ms; 0: it does not. */
  #freezeMs = 0
  engine: WorkflowEngine | null = null
  readonly #around: Surroundings
  readonly #skewMs: number
  #body: Body = { stillUntil: 0, isGone: true }
  #wire: Wire | null = null
  /** The process that was told to stop. */
  #stopping: Body | null = null
  /** The ids under which it has been known. */
  readonly ids = new Set<string>()

  constructor(name: string, around: Surroundings, skewMs: number) {
    this.name = name
    this.#around = around
    this.#skewMs = skewMs
  }

  /** It takes requests: it has started, is not gone, does not stand still and has not begun to stop. */
  get isUp(): boolean {
    return this.engine !== null && !this.#body.isGone && this.#body.stillUntil <= this.#around.world.now
  }

  get body(): Body {
    return this.#body
  }

  /** A new process. */
  start(): void {
    if (!this.#body.isGone) return
    const { world, server, options, snapshotBytes, office, targets, onEffect, onFault } = this.#around
    world.note(`${this.name} starts`)
    const body: Body = { stillUntil: 0, isGone: false }
    const network = {
      random: world.random,
      fate: (name: string) => this.#fate(name),
      transitMs: () => this.#transitMs(),
      after: (delayMs: number, owner: Body | null, run: () => void) => void world.after(delayMs, owner, run),
      note: (line: string) => world.note(`    ${this.name}: ${line}`),
      committed: (name: string) => this.#committed(name, body),
    }
    const wire = new Wire(server, network, body)
    this.#body = body
    this.#wire = wire
    const engine = new WorkflowEngine(
      {
        ...options,
        log: this.#log(),
        actions: [scriptedAction(world, body, targets, (effect) => onEffect(this, effect))],
      },
      {
        clock: new NodeClock(world, body, this.#skewMs),
        snapshotBytes,
        openStorage: async () => ({
          // What it lacks only routes ask for.
          store: this.#known(modelStore(wire)) as Store,
          circuits: modelCircuits(wire),
          upkeep: modelUpkeep(wire),
          ...(office !== null && { notifications: modelNotifications(office, wire, body) }),
          aloneAt: null,
          prepare: async () => {},
          close: async () => {},
        }),
      },
    )
    engine.start().then(
      () => {
        // A start that a stop overtook resolves too.
        if (!body.isGone && this.#body === body && this.#stopping !== body) this.engine = engine
      },
      (error: Error) => onFault('a node starts', `${this.name}: ${error.stack}`),
    )
    // Stopping waits for the start, which a database that is down holds up for long: kill it then.
    this.#stop = () => engine.stop()
  }

  #stop: () => Promise<void> = async () => {}

  /** kill -9: nothing of it happens any more; what is on its way to the database may arrive. */
  crash(): void {
    if (this.#body.isGone) return
    this.#around.world.note(`${this.name} is killed`)
    this.#body.isGone = true
    this.engine = null
    this.#wire?.sever()
  }

  stall(forMs: number): void {
    const { world } = this.#around
    if (this.#body.isGone) return
    world.note(`${this.name} stands still for ${forMs} ms`)
    this.#body.stillUntil = Math.max(this.#body.stillUntil, world.now + forMs)
  }

  /** It will stand still once a flush of it has committed, before it hears of that; 0 ms: it will not. */
  freezeAtCommit(forMs: number): void {
    this.#freezeMs = forMs
  }

  #committed(name: string, body: Body): void {
    if (name !== 'flush' || this.#freezeMs === 0 || body !== this.#body) return
    this.stall(this.#freezeMs)
    this.#freezeMs = 0
  }

  /** SIGTERM. Resolves when the process has ended by itself, or was killed meanwhile. */
  async stop(): Promise<void> {
    const body = this.#body
    if (body.isGone) return
    this.#stopping = body
    this.#around.world.note(`${this.name} is told to stop`)
    this.engine = null
    await this.#stop()
    body.isGone = true
    this.#around.world.note(`${this.name} has stopped`)
  }

  #known(store: ModelStore): ModelStore {
    const registerNode: ModelStore['registerNode'] = (options) => {
      this.ids.add(options.id)
      return store.registerNode(options)
    }
    return { ...store, registerNode }
  }

  #fate(name: string): Fate {
    const { random } = this.#around.world
    if (name === 'flush' && this.lateRate > 0 && random.chance(this.lateRate)) {
      return random.pick(['lost', 'unanswered', 'late', 'late', 'late'] as const)
    }
    if (this.lossRate === 0 || !random.chance(this.lossRate)) return 'delivered'
    return random.pick(['refused', 'lost', 'unanswered', 'unanswered', 'late', 'late'] as const)
  }

  #transitMs(): number {
    const { random } = this.#around.world
    if (this.slowMs > 0 && random.chance(0.5)) return random.between(0, this.slowMs)
    return random.chance(0.03) ? random.between(0, 120) : random.between(0.05, 1.5)
  }

  #log(): Log {
    const { world, onFault } = this.#around
    const line = (level: string, facts: object, message: string): void => {
      const { err, ...rest } = facts as { err?: Error }
      world.note(`  ${this.name} ${level}: ${message} ${JSON.stringify(rest)}${err ? ` ${err.message}` : ''}`)
    }
    const log: Log = {
      debug: (facts, message) => 'err' in facts && line('debug', facts, message),
      info: () => {},
      warn: (facts, message) => line('warn', facts, message),
      error: (facts, message) => {
        line('error', facts, message)
        const { reason } = facts as { reason?: string }
        if (reason?.startsWith('someone else wrote'))
          onFault('nobody else writes to a history', `${this.name}: ${reason}`)
        if (/a bug in the engine|failed on its own commit|cannot begin anew/.test(message)) {
          onFault('no bug shows', `${message}: ${(facts as { err?: Error }).err?.stack}`)
        }
      },
      child: () => log,
      isLevelEnabled: () => false,
    }
    return log
  }
}
