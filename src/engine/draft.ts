import type { Json } from '../definition/json.ts'
import type { ApprovalChanges } from '../repository/approvals.ts'
import type { SlotAsk, SlotRelease } from '../repository/concurrency-slots.ts'
import type { ExecutionImage, ExecutionRow } from '../repository/execution-row.ts'
import type { Append } from '../repository/flush.ts'
import type { InboxKey, NewInboxItem } from '../repository/inbox.ts'
import type { StatisticsDelta, StepCount } from '../repository/tally.ts'
import { changedBy } from './approval-rows.ts'
import type { ApprovalChange } from './core/approvals.ts'
import type { Command } from './core/command.ts'
import type { JournalEvent } from './core/event.ts'
import { roughBytes } from './json-size.ts'

/** A command that has an effect on the world: it waits for the events that caused it. */
export type Effect = Extract<Command, { type: 'perform' }>

/** An event on its way to the journal: encoded once; its percentage is known when it has been folded. */
export type AppendedEvent = JournalEvent & { percentage: number; readonly text: string }

/** What an event row costs beside its data. */
const ROW_BYTES = 120
const AHEAD_EVENTS = 1000
const AHEAD_BYTES = 1024 * 1024

/** What one execution has to write at once, while it gathers, and what is to be done when it is committed. */
export class Draft {
  readonly events: AppendedEvent[] = []
  readonly effects: Effect[] = []
  readonly inboxKeys: InboxKey[] = []
  /** Executions that it starts, and what it leaves in the inboxes of others. */
  readonly also: Append[] = []
  readonly sends: NewInboxItem[] = []
  /** What the list of approvals is told; null: nothing. */
  approvals: ApprovalChanges | null = null
  readonly steps: StepCount[] = []
  /** Slots that it asks for and gives back; most executions never do. */
  #slots: { asks: SlotAsk[]; readonly releases: SlotRelease[] } | null = null
  bytes = 0

  get isEmpty(): boolean {
    return this.events.length === 0
  }

  /** It may run this far ahead of the journal and no further. */
  get isFull(): boolean {
    return this.events.length >= AHEAD_EVENTS || this.bytes >= AHEAD_BYTES
  }

  add(event: AppendedEvent, inboxKey?: InboxKey): void {
    this.events.push(event)
    this.bytes += event.text.length + ROW_BYTES
    if (inboxKey !== undefined) this.inboxKeys.push(inboxKey)
  }

  start(append: Append): void {
    this.also.push(append)
    this.bytes += append.bytes + ROW_BYTES
  }

  send(item: NewInboxItem, bytes: number): void {
    this.sends.push(item)
    this.bytes += bytes + ROW_BYTES
  }

  listApproval(change: ApprovalChange, row: ExecutionRow): void {
    this.approvals = changedBy(this.approvals, change, row)
    this.bytes += roughBytes(change as unknown as Json) + ROW_BYTES
  }

  ask(ask: SlotAsk): void {
    this.#slots ??= { asks: [], releases: [] }
    this.#slots.asks.push(ask)
    this.bytes += ROW_BYTES
  }

  /** What was asked for in this very draft is not asked for. */
  release(release: SlotRelease): void {
    this.#slots ??= { asks: [], releases: [] }
    const { ticket, path } = release
    const isMeant = (ask: SlotAsk): boolean => ticket === null || (ask.ticket === ticket && ask.path === path)
    const isHere = ticket !== null && this.#slots.asks.some(isMeant)
    this.#slots.asks = this.#slots.asks.filter((ask) => !isMeant(ask))
    if (isHere) return
    this.#slots.releases.push(release)
    this.bytes += ROW_BYTES
  }

  /** `image` is the row's image where it changed, `isNew` says that it has yet to be inserted. */
  toAppend(row: ExecutionRow, image: ExecutionImage | null, isNew: boolean, status: StatisticsDelta['status']): Append {
    return {
      executionId: row.id,
      events: this.events,
      ...(image !== null && (isNew ? { insert: { ...row, ...image } } : { row: image })),
      inboxKeys: this.inboxKeys,
      ...(this.also.length > 0 && { also: this.also }),
      ...(this.sends.length > 0 && { sends: this.sends }),
      ...(this.approvals !== null && { approvals: this.approvals }),
      ...this.#slots,
      statistics: this.#statistics(row, status),
      bytes: this.bytes,
    }
  }

  #statistics(row: ExecutionRow, status: StatisticsDelta['status']): StatisticsDelta[] {
    if (status === undefined && this.steps.length === 0) return []
    return [
      {
        workflowId: row.workflowId,
        version: row.workflowVersion,
        ...(status !== undefined && { status }),
        ...(this.steps.length > 0 && { steps: this.steps }),
      },
    ]
  }
}
