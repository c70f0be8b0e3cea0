import type { ApprovalRow } from '../../../src/repository/approvals.ts'
import type { Circuit } from '../../../src/repository/circuit-breakers.ts'
import type { SlotAsk } from '../../../src/repository/concurrency-slots.ts'
import type { ExecutionRow } from '../../../src/repository/execution-row.ts'
import type { IdempotencyKey } from '../../../src/repository/idempotency.ts'
import type { InboxItem } from '../../../src/repository/inbox.ts'
import type { TurnsAsked } from '../../../src/repository/rate-limits.ts'
import type { Counts } from '../../../src/repository/tally.ts'

/** An event as its row has it: `data` is text, so that whoever reads it gets an object of his own. */
export interface EventRow {
  readonly executionId: string
  readonly seq: number
  readonly type: string
  readonly path: string | null
  readonly attempt: number | null
  readonly at: number
  readonly percentage: number
  readonly text: string
}

/** An execution's row; what is json is text. */
export type StoredRow = Omit<ExecutionRow, 'input' | 'output' | 'error'> & {
  readonly input: string
  readonly output: string | null
  readonly error: string | null
}

export interface NodeRow {
  readonly id: string
  /** By the database's clock, ms since 1970. */
  readonly startedAt: number
  readonly expiresAt: number
  /** Nothing of the journal from before is leant on any more. */
  readonly settledAt: number
  readonly lanes: number
}

export interface WorkflowRow {
  readonly id: string
  readonly namespace: string
  readonly name: string
  readonly description: string | null
  readonly activeVersion: number
  readonly newestVersion: number
  readonly status: 'active' | 'archived'
  readonly tags: readonly string[]
  readonly createdAt: number
  readonly updatedAt: number
}

export interface VersionRow {
  readonly workflowId: string
  readonly version: number
  readonly definition: string
  readonly deprecatedAt: number | null
  readonly createdAt: number
}

export interface KeyRow extends IdempotencyKey {
  readonly resourceId: string
  readonly requestId: string | null
}

/** A circuit, and what of it is no answer to anybody. */
export interface CircuitRow extends Circuit {
  readonly probeId: string | null
  /** ms since 1970. */
  readonly seenAt: number
}

/** An approval's row; what is json is text. */
export type StoredApproval = Omit<ApprovalRow, 'data'> & { readonly data: string | null }

export interface CountedRow {
  readonly workflowId: string
  readonly version: number
  readonly counts: Counts
}

/** A slot that is asked for, waited for, held or given back. */
export type SlotRow = Omit<SlotAsk, 'at'> & {
  readonly state: 'asked' | 'waiting' | 'held' | 'released'
  readonly isLeaving: boolean
  readonly place: number
  readonly changedAt: number
}

/** A key of a rate limit; times are µs since 1970. */
export interface RateLimitRow extends Pick<TurnsAsked, 'namespace' | 'scope' | 'key' | 'limit' | 'periodMs' | 'burst'> {
  readonly tat: number
  readonly lineUntil: number
  readonly lateUntil: number
  /** To whom asked last. */
  readonly granted: number
  readonly askedAt: number
  readonly grantedAt: number
}

/** The tables: rows are never changed, only replaced. */
export class Tables {
  readonly nodes = new Map<string, NodeRow>()
  /** By `node/lane`: its mark. */
  readonly lanes = new Map<string, number>()
  readonly workflows = new Map<string, WorkflowRow>()
  readonly versions = new Map<string, VersionRow>()
  readonly executions = new Map<string, StoredRow>()
  /** By execution, then by seq. */
  readonly events = new Map<string, Map<number, EventRow>>()
  readonly snapshots = new Map<string, Map<number, { readonly state: string; readonly createdAt: number }>>()
  /** In the order of their ids once sorted: a commit may come after that of a later id. */
  readonly inbox = new Map<number, Omit<InboxItem, 'payload'> & { readonly payload: string }>()
  /** Executions whose rows are gone and whose journals are going. */
  readonly retired = new Map<string, true>()
  readonly keys = new Map<string, KeyRow>()
  /** By workflow and key: the execution that was started last under it. */
  readonly executionKeys = new Map<string, string>()
  readonly circuits = new Map<string, CircuitRow>()
  readonly rateLimits = new Map<string, RateLimitRow>()
  /** `data` is text, null as PostgreSQL's. */
  readonly approvals = new Map<string, StoredApproval>()
  readonly statistics: CountedRow[] = []
  /** By execution, ticket and path. */
  readonly slots = new Map<string, SlotRow>()
  /** The identity of slots, taken as the inbox's is. */
  nextPlace = 1
  /** The inbox's identity: taken at once, by statements that fail too. */
  nextInboxId = 1
}
