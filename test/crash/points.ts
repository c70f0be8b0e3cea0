import type { EventType } from '../../src/engine/core/event.ts'
import type { Seams } from '../../src/engine/node-process.ts'
import { noObserver, type Observer } from '../../src/engine/observer.ts'
import { openStorage } from '../../src/engine/storage.ts'
import type { Append } from '../../src/repository/append.ts'
import type { Store } from '../../src/repository/store.ts'

/*
 * Names for the moments at which a process may die, without a line for it in src. All that is durable goes through the
 * engine's store, which is a seam: its functions are wrapped here. Attempts are seen by its observer.
 *
 *   before X   it is about to be sent
 *   during X   it is on its way: the database may commit it when the process is gone
 *   after X    it is answered, and the engine has not heard of it
 */
type Moment = 'before' | 'during' | 'after'

/** Calls of the store that are worth a death. The rest only read what a later process reads again. */
const calls = [
  'registerNode',
  'claim',
  'sweep',
  'removeNode',
  'insertInboxKeyed',
  'startKeyed',
  'startUnderKey',
  'insertSnapshot',
  'deleteSnapshotsBefore',
  'settleSlots',
] as const satisfies readonly (keyof Store)[]
type Call = (typeof calls)[number]

/**
 * `flush` of an append that holds an event of this kind; `flush inbox` of one that consumes rows of the inbox, `flush start`
 * of one that inserts the execution. `read checkpoint` is the fold up to a checkpoint that a rollback needs.
 */
type Subject = Call | `flush ${EventType | 'inbox' | 'start'}` | 'read checkpoint' | 'read inbox' | `perform ${string}`

export type Point = `${Moment} ${Subject}`

/** Hears every point that the process comes to, in order; a process that is killed in it does nothing more. */
export type AtPoint = (point: Point) => void

/** The seam of an engine with every point named, as its second argument. */
export const pointsOf = (at: AtPoint): Partial<Seams> => ({
  async openStorage(settings) {
    const storage = await openStorage(settings)
    for (const call of calls) wrap(storage.store, call, at)
    wrapReads(storage.store, at)
    wrapLanes(storage.store, at)
    return storage
  },
})

/** The points of attempts: before an action is performed, and between its effect and the record of it. */
export function observeAttempts(at: AtPoint): Observer {
  return {
    ...noObserver,
    attemptStarted({ path }) {
      at(`before perform ${path}`)
      return null
    },
    attemptEnded: ({ path }) => at(`after perform ${path}`),
  }
}

/** A claim or sweep that finds nothing is no news after it. */
function wrap(store: Store, name: Call, at: AtPoint): void {
  const original = store[name] as (...args: unknown[]) => Promise<unknown>
  const wrapped = async (...args: unknown[]): Promise<unknown> => {
    at(`before ${name}`)
    const result = await underWay(original(...args), () => at(`during ${name}`))
    if (!Array.isArray(result) || result.length > 0) at(`after ${name}`)
    return result
  }
  Object.assign(store, { [name]: wrapped })
}

function wrapReads(store: Store, at: AtPoint): void {
  const { eventsAfter, inboxOf, inboxOfOwner } = store
  store.eventsAfter = async (executionId, after, limit, options = {}) => {
    const events = await eventsAfter(executionId, after, limit, options)
    if ((options.through ?? Number.MAX_SAFE_INTEGER) < Number.MAX_SAFE_INTEGER) at('after read checkpoint')
    return events
  }
  const readInbox =
    <Arguments extends unknown[], Item>(read: (...args: Arguments) => Promise<Item[]>) =>
    async (...args: Arguments): Promise<Item[]> => {
      const items = await read(...args)
      if (items.length > 0) at('after read inbox')
      return items
    }
  Object.assign(store, { inboxOf: readInbox(inboxOf), inboxOfOwner: readInbox(inboxOfOwner) })
}

function wrapLanes(store: Store, at: AtPoint): void {
  const { openLane } = store
  store.openLane = (node, lane) => {
    const opened = openLane(node, lane)
    const flush = opened.flush.bind(opened)
    opened.flush = async (appends, resend) => {
      const subjects = subjectsOf(appends)
      const tell = (moment: Moment): void => {
        for (const subject of subjects) at(`${moment} flush ${subject}`)
      }
      tell('before')
      const outcome = await underWay(flush(appends, resend), () => tell('during'))
      tell('after')
      return outcome
    }
    return opened
  }
}

function subjectsOf(appends: readonly Append[]): Set<EventType | 'inbox' | 'start'> {
  const subjects = new Set<EventType | 'inbox' | 'start'>()
  for (const { events, inboxKeys, insert } of appends) {
    for (const { type } of events) subjects.add(type)
    if (inboxKeys.length > 0) subjects.add('inbox')
    if (insert !== undefined) subjects.add('start')
  }
  return subjects
}

/** `during` comes a turn of the event loop later, when the bytes have gone out and an answer takes longer than that. */
async function underWay<Result>(call: Promise<Result>, during: () => void): Promise<Result> {
  const gone = new Promise<void>((resolve) => setImmediate(resolve)).then(during)
  try {
    return await call
  } finally {
    await gone
  }
}
