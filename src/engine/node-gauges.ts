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
  /** What housekeeping has removed so far. */
  /** Circuits that are not closed, as this node knows, and how many it has opened. */
  circuits(): { readonly guarded: number; readonly opened: number }
  removed(): { readonly executions: number; readonly retiredEvents: number; readonly compactedEvents: number }
}
