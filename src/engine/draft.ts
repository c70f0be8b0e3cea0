import type { Json } from '../definition/json.ts'
import type { Append, Basis } from '../repository/append.ts'
import type { ApprovalChanges } from '../repository/approvals.ts'
import type { SlotAsk, SlotRelease } from '../repository/concurrency-slots.ts'
import type { ExecutionImage, ExecutionRow } from '../repository/execution-row.ts'
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

const none: readonly never[] = []

/**
 * The list with one more. A step's drafts are many, with one event, effect and count each: an array of one, where an empty one
 * that is pushed to would take room for seventeen (a tenth of all that a step allocated, with the arrays that stay empty).
 */
const withOne = <Item>(list: readonly Item[], item: Item): readonly Item[] => {
  if (list.length === 0) return [item]
  ;(list as Item[]).push(item)
  return list
}

/** What one execution has to write at once, while it gathers, and what is to be done when it is committed. */
export class Draft {
  #events: readonly AppendedEvent[] = none
  #effects: readonly Effect[] = none
  #inboxKeys: readonly InboxKey[] = none
  #steps: readonly StepCount[] = none
  /** Executions that it starts, and what it leaves in the inboxes of others; undefined: nothing, as with what follows. */
  #also: Append[] | undefined
  #sends: NewInboxItem[] | undefined
  #approvals: ApprovalChanges | undefined
  /** Slots that it asks for and gives back; most executions never do. */
  #asks: SlotAsk[] | undefined
  #releases: SlotRelease[] | undefined
  #bytes = 0

  get events(): readonly AppendedEvent[] {
    return this.#events
  }

  get inboxKeys(): readonly InboxKey[] {
    return this.#inboxKeys
  }

  get isEmpty(): boolean {
    return this.#events.length === 0
  }

  /** It may run this far ahead of the journal and no further. */
  get isFull(): boolean {
    return this.#events.length >= AHEAD_EVENTS || this.#bytes >= AHEAD_BYTES
  }

  add(event: AppendedEvent, inboxKey?: InboxKey): void {
    this.#events = withOne(this.#events, event)
    this.#bytes += event.text.length + ROW_BYTES
    if (inboxKey !== undefined) this.answer(inboxKey)
  }

  /** The request is answered by what is in here. */
  answer(inboxKey: InboxKey): void {
    this.#inboxKeys = withOne(this.#inboxKeys, inboxKey)
  }

  count(step: StepCount): void {
    this.#steps = withOne(this.#steps, step)
  }

  perform(effect: Effect): void {
    this.#effects = withOne(this.#effects, effect)
  }

  /** What is to be done; nobody else is asked to. */
  takeEffects(): readonly Effect[] {
    const effects = this.#effects
    this.#effects = none
    return effects
  }

  start(append: Append): void {
    this.#also ??= []
    this.#also.push(append)
    this.#bytes += append.bytes + ROW_BYTES
  }

  send(item: NewInboxItem, bytes: number): void {
    this.#sends ??= []
    this.#sends.push(item)
    this.#bytes += bytes + ROW_BYTES
  }

  listApproval(change: ApprovalChange, row: ExecutionRow): void {
    this.#approvals = changedBy(this.#approvals ?? null, change, row)
    this.#bytes += roughBytes(change as unknown as Json) + ROW_BYTES
  }

  ask(ask: SlotAsk): void {
    this.#asks = [...(this.#asks ?? []), ask]
    this.#releases ??= []
    this.#bytes += ROW_BYTES
  }

  /** What was asked for in this very draft is not asked for. */
  release(release: SlotRelease): void {
    const { ticket, path } = release
    const isMeant = (ask: SlotAsk): boolean => ticket === null || (ask.ticket === ticket && ask.path === path)
    const asks = this.#asks ?? []
    this.#releases ??= []
    this.#asks = asks.filter((ask) => !isMeant(ask))
    if (ticket !== null && asks.some(isMeant)) return
    this.#releases.push(release)
    this.#bytes += ROW_BYTES
  }

  /**
   * `image` is the row's image where it changed, `isNew` says that it has yet to be inserted. All appends have one shape, which
   * halves the time of those that go through them.
   */
  toAppend(
    row: ExecutionRow,
    image: ExecutionImage | null,
    isNew: boolean,
    status: StatisticsDelta['status'],
    basis: Basis | null,
  ): Append {
    return {
      executionId: row.id,
      events: this.#events,
      insert: image !== null && isNew ? { ...row, ...image } : undefined,
      row: image === null || isNew ? undefined : image,
      inboxKeys: this.#inboxKeys,
      basis: basis ?? undefined,
      also: this.#also,
      sends: this.#sends,
      approvals: this.#approvals,
      asks: this.#asks,
      releases: this.#releases,
      statistics: this.#statistics(row, status),
      bytes: this.#bytes,
    }
  }

  #statistics(
    { workflowId, workflowVersion: version }: ExecutionRow,
    status: StatisticsDelta['status'],
  ): readonly StatisticsDelta[] {
    if (status === undefined && this.#steps.length === 0) return none
    return [{ workflowId, version, status, steps: this.#steps }]
  }
}
