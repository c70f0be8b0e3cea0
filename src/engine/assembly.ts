import type { Json } from '../definition/json.ts'
import { ActionRegistry, builtInActions } from './actions/registry.ts'
import { Approvals } from './approvals.ts'
import { AttemptSlots } from './attempt-slots.ts'
import { Breakers } from './breakers.ts'
import { Burial } from './burial.ts'
import type { Clock } from './clock.ts'
import { Compaction } from './compaction.ts'
import { Definitions } from './definitions.ts'
import type { EngineSettings } from './engine-options.ts'
import { Feed } from './feed.ts'
import { History, type HistoryOptions } from './history.ts'
import { Housekeeping } from './housekeeping.ts'
import type { NodeLife, NodeParts } from './node-life.ts'
import { guarded } from './observer.ts'
import type { Outage } from './outage.ts'
import { Plans } from './plans.ts'
import { RateLimits } from './rate-limits.ts'
import { Requests } from './requests.ts'
import { credentialsIn, Secrets } from './secrets.ts'
import { Starts } from './starts.ts'
import { StatisticsReader } from './statistics-reader.ts'
import type { Storage } from './storage.ts'

/** What a node is made of while its process runs, whatever life it is in. */
export interface Assembly {
  readonly storage: Storage
  readonly parts: NodeParts
  readonly burial: Burial
  readonly definitions: Definitions
  readonly starts: Starts
  readonly requests: Requests
  readonly approvals: Approvals
  readonly statistics: StatisticsReader
  readonly housekeeping: Housekeeping | null
  readonly closeActions: () => Promise<void>
}

export interface AssemblyOptions {
  readonly settings: EngineSettings
  readonly clock: Clock
  readonly outage: Outage
  /** What this release can fold, oldest first. */
  readonly formats: readonly number[]
  readonly snapshotBytes: number
  /** The present life; null between two of them. */
  readonly life: () => NodeLife | null
  /** Throws when there is none that may begin anything. */
  readonly aliveLife: () => NodeLife
}

/** Puts a node together; nothing of it has begun to run. */
export function assemble(
  storage: Storage,
  { settings, clock, outage, formats, snapshotBytes, life, aliveLife }: AssemblyOptions,
): Assembly {
  const { log } = settings
  const observer = guarded(settings.observer, log)
  const { store, upkeep, notifications = null } = storage
  const secrets = new Secrets(
    settings.secrets,
    credentialsIn({ ...settings.targets, databaseUrls: [settings.databaseUrl, settings.listenUrl] }),
  )
  const builtIn = builtInActions({ ...settings.targets, secrets, maxPayloadBytes: settings.maxPayloadBytes })
  const actions = new ActionRegistry([...builtIn.actions, ...settings.actions])
  const plans = new Plans({ store, actions: actions.shapes(), clock })
  const statistics = new StatisticsReader({ store, clock, log })
  const medians: HistoryOptions['medians'] = (id) => statistics.medians(id)
  const history = new History({ store, plans, formats, medians, now: () => clock.now() })
  const isOwnedHere = (executionId: string): boolean => life()?.owned.has(executionId) ?? false
  const onWatched = (id: string): void => life()?.hints?.watched(id)
  // Events need no fold: of an execution whose format is unknown here, subscribers hear them all the same.
  const shown = { progress: (id: string) => history.overview(id) }
  const feed = new Feed({ store, history: shown, isOwnedHere, onWatched, pollMs: settings.pollMs, clock, log })
  const slots = new AttemptSlots(settings.maxAttempts)
  const compaction = new Compaction()
  const tell = (): void => life()?.hints?.circuitsChanged()
  const breakers = breakersOn(storage, settings, { clock, secrets, tell })
  const rateLimits = new RateLimits({ store, clock, log, horizonMs: settings.parkAfterMs })
  const performing = { actions, slots, breakers, rateLimits, secrets }
  const reading = { formats, snapshotBytes, history, plans, feed, notifications }
  const parts: NodeParts = { store, clock, ...performing, ...reading, compaction, observer, log, outage, settings }
  const { retentionDays, housekeepingMs: everyMs } = settings
  const requests = new Requests(parts, life)
  const vacate = (id: string) => requests.cancelled(id, 'its executionKey was taken by another start')
  return {
    storage,
    parts,
    burial: new Burial({ store, clock, log, leaseMs: settings.leaseMs }),
    statistics,
    definitions: new Definitions({ store, actions: actions.shapes(), plans, clock }),
    starts: new Starts(parts, aliveLife, life, vacate),
    requests,
    approvals: new Approvals(parts, requests),
    housekeeping: upkeep
      ? new Housekeeping({ upkeep, clock, log, compaction, history, retentionDays, everyMs, life })
      : null,
    closeActions: builtIn.close,
  }
}

/** Looked at less often than inboxes are: a node counts for itself, and to hear a second later costs few calls. */
function breakersOn(
  { circuits }: Storage,
  settings: EngineSettings,
  { clock, secrets, tell }: { readonly clock: Clock; readonly secrets: Secrets; readonly tell: () => void },
): Breakers | null {
  if (circuits === undefined) return null
  const { circuitBreakers: isAutomatic, pollMs, log } = settings
  const redact = (value: Json): Json => secrets.redact(value)
  return new Breakers({ circuits, clock, log, everyMs: 4 * pollMs, isAutomatic, tell, redact })
}
