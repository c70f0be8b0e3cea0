import { resolve } from 'node:path'
import type { Action } from './actions/action.ts'
import type { BuiltInOptions } from './actions/registry.ts'
import { type Log, silentLog } from './log.ts'
import { noObserver, type Observer } from './observer.ts'

/** How an embedding program sets the engine up; everything has a default. Durations are ms, sizes bytes. */
export interface EngineOptions {
  /** postgres://…; absent: an embedded PostgreSQL whose data lies in `dataDir`. */
  readonly databaseUrl?: string | null
  readonly dataDir?: string
  /** NOTIFY as a hint to other nodes; without it they find by polling alone what concerns them. */
  readonly notify?: boolean
  /** Where to LISTEN when `databaseUrl` leads through PgBouncer: an address of PostgreSQL itself. */
  readonly listenUrl?: string | null
  /** How often a node looks for what it was not told: claims, inboxes, what other nodes commit to what is watched here. */
  readonly pollMs?: number
  /** Connections for everything but flushes and heartbeats. */
  readonly poolSize?: number
  /** Writer connections. */
  readonly lanes?: number
  /** Named prepared statements; off behind a PgBouncer older than 1.21. */
  readonly prepare?: boolean
  readonly maxRunning?: number
  readonly maxHeldBytes?: number
  readonly maxAttempts?: number
  /** Circuits open by themselves when their targets fail; operators can hold them open in any case. */
  readonly circuitBreakers?: boolean
  readonly leaseMs?: number
  readonly drainMs?: number
  readonly parkAfterMs?: number
  readonly maxPayloadBytes?: number
  readonly maxStateBytes?: number
  /** Days (fractions allowed) after which finished executions are removed when their workflow does not say; null: never. */
  readonly retentionDays?: number | null
  /** How often retention and compaction look for something to do. */
  readonly housekeepingMs?: number
  /** Agents, data sources and what http_request may reach. */
  readonly targets?: Omit<BuiltInOptions, 'secrets' | 'maxPayloadBytes'>
  /** By the name under which definitions use them as `secrets.NAME`. */
  readonly secrets?: Readonly<Record<string, string>>
  /** Further action types, made with `defineAction`. */
  readonly actions?: readonly Action[]
  readonly log?: Log
  readonly observer?: Observer
}

/** The options with their defaults. */
export type EngineSettings = Required<EngineOptions>

export const settingsOf = (options: EngineOptions): EngineSettings => ({
  databaseUrl: null,
  dataDir: resolve('.cairn'),
  notify: true,
  listenUrl: null,
  pollMs: 250,
  poolSize: 10,
  lanes: 1,
  prepare: true,
  maxRunning: 10_000,
  maxHeldBytes: 536_870_912,
  maxAttempts: 1_000,
  circuitBreakers: true,
  leaseMs: 15_000,
  drainMs: 10_000,
  parkAfterMs: 1_000,
  maxPayloadBytes: 1_048_576,
  maxStateBytes: 33_554_432,
  retentionDays: null,
  housekeepingMs: 15_000,
  targets: {},
  secrets: {},
  actions: [],
  log: silentLog,
  observer: noObserver,
  ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
})
