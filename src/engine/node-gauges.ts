/** What a node knows of itself, for metrics. */
export interface NodeGauges {
  /** Executions in memory. */
  running(): number
  /** Appends that wait for the database or are being flushed. */
  queueDepth(): number
  /** Executions and workflows that somebody watches here. */
  subscribers(): number
  /** ms since the lease was last renewed; null without one. */
  leaseAgeMs(): number | null
  /** Circuits that are not closed, as this node knows, and how many it has opened. */
  circuits(): { readonly guarded: number; readonly opened: number }
  /** Slots of keys that executions here have asked for, and those that this node has granted or refused to anybody. */
  slots(): { readonly asked: number; readonly granted: number; readonly refused: number }
  /** Calls with a rate limit that were let go here, and that were put off. */
  rateLimits(): { readonly granted: number; readonly deferred: number }
  /** What housekeeping has removed so far. */
  removed(): { readonly executions: number; readonly retiredEvents: number; readonly compactedEvents: number }
}
