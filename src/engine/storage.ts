import { type Circuits, createCircuits } from '../repository/circuit-breakers.ts'
import { openDatabase } from '../repository/connection.ts'
import { startEmbedded } from '../repository/embedded-postgres.ts'
import { checkDurability, migrate } from '../repository/migrate.ts'
import { isReadOnly } from '../repository/nodes.ts'
import { createNotifications, type Notifications } from '../repository/notifications.ts'
import { createStore, type Store } from '../repository/store.ts'
import { createUpkeep, type Upkeep } from '../repository/upkeep.ts'
import type { EngineSettings } from './engine-options.ts'
import type { Log } from './log.ts'

/** What a node stands on: PostgreSQL, or the simulation's model of it. */
export interface Storage {
  readonly store: Store
  /** How nodes hint each other; without it they poll alone. */
  readonly notifications?: Notifications
  /** What circuit breakers share; without it every target is called, whatever is known of it. */
  readonly circuits?: Circuits
  /** What housekeeping works with; without it nothing is ever removed. */
  readonly upkeep?: Upkeep
  /**
   * When no other process used the embedded data folder: nodes from before are dead. By the database's clock, ms since 1970;
   * null when others used it, or may have.
   */
  readonly aloneAt: number | null
  /** Makes the database fit for use; rejects when it is unfit (not durable, not migratable). */
  prepare(): Promise<void>
  /** Calls back whenever PostgreSQL turns out to be another server than before; the model never fails over. */
  onFailover?(hear: () => void): void
  /** True on a replica, and where somebody has switched writing off. */
  isReadOnly?(): Promise<boolean>
  /** Lets go of everything that was opened. */
  close(): Promise<void>
}

/** What befalls the embedded PostgreSQL is for the operator to know. */
const reported = (log: Log) => ({
  onEnded: () => log.error({}, 'the embedded PostgreSQL has ended; it is started again'),
  onFailed: (err: Error) => log.error({ err }, 'the embedded PostgreSQL does not start; it is tried again'),
})

/** Opens PostgreSQL, an embedded one when no URL is given. Nothing is connected to before the first statement. */
export async function openStorage(settings: EngineSettings): Promise<Storage> {
  const { databaseUrl, dataDir, notify, listenUrl, poolSize, prepare, leaseMs, log } = settings
  const embedded = databaseUrl === null ? await startEmbedded({ dataDir, ...reported(log) }) : null
  const database = openDatabase({
    url: embedded?.url ?? databaseUrl!,
    listenUrl,
    poolSize,
    prepare,
    pulseMs: Math.min(5_000, Math.max(1_000, leaseMs / 5)),
    onError: (err) => log.debug({ err }, 'an idle connection broke'),
  })
  return {
    store: createStore(database),
    ...(notify && { notifications: createNotifications(database) }),
    circuits: createCircuits(database),
    upkeep: createUpkeep(database),
    aloneAt: embedded?.aloneAt ?? null,
    async prepare() {
      await migrate(database)
      await checkDurability(database)
    },
    onFailover: (hear) => database.timeline.onSwitched(hear),
    isReadOnly: () => isReadOnly(database),
    async close() {
      await database.close()
      await embedded?.stop()
    },
  }
}
