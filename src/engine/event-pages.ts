import type { Store } from '../repository/store.ts'
import type { JournalEvent } from './core/event.ts'
import { roughBytes } from './json-size.ts'

const FIRST_PAGE = 32
const MAX_PAGE = 1_000
/** What a page should hold at most; one event alone may be larger. */
const PAGE_BYTES = 1024 * 1024

/** What an event takes beside its data. */
const EVENT_BYTES = 200

export const eventBytes = (event: JournalEvent): number => EVENT_BYTES + roughBytes(event.data)

/**
 * How many events the next page may hold so that it stays within PAGE_BYTES, going by the size of those seen so far: it
 * begins small, doubles while they are small and shrinks when they grow.
 */
export class PageSize {
  limit = FIRST_PAGE

  /** Takes note of a page that was read; answers its bytes. */
  note(page: readonly JournalEvent[]): number {
    let bytes = 0
    for (const event of page) bytes += eventBytes(event)
    if (page.length === 0) return 0
    const fits = Math.floor(PAGE_BYTES / (bytes / page.length))
    this.limit = Math.max(1, Math.min(MAX_PAGE, this.limit * 2, fits))
    return bytes
  }
}

/** The events after `after` up to `through`, in order, in pages of bounded size. */
export async function* eventPages(
  store: Pick<Store, 'eventsAfter'>,
  executionId: string,
  after: number,
  through: number,
): AsyncGenerator<{ readonly events: readonly JournalEvent[]; readonly bytes: number }> {
  const size = new PageSize()
  let last = after
  while (last < through) {
    const limit = size.limit
    const events = await store.eventsAfter(executionId, last, limit, { through })
    if (events.length > 0) yield { events, bytes: size.note(events) }
    if (events.length < limit) return
    last = events.at(-1)!.seq
  }
}
