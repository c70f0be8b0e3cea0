import type { Database } from './connection.ts'
import { Listener, type ListenerEvents } from './listener.ts'

/*
 * NOTIFY as nodes use it: one channel that all of them hear, and one for each node. A notification is only a hint, so its
 * statement need not wait for the disk: NOTIFY commits hold a lock of the whole database, one after the other.
 * set_config(…, true) lasts until the end of its transaction, behind a pooler too.
 */
const relaxed = "relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))"

/** What every node hears. */
export const commonChannel = 'cairn'

/** What one node hears; `node` is the id of its present life, the `owner` of its executions. */
export const channelOf = (node: string): string => `${commonChannel}_${node}`

/** PostgreSQL takes fewer than 8,000 bytes. */
export const largestPayload = 7_999

export interface Notification {
  readonly channel: string
  readonly payload: string
}

/** Sends notifications, in order, with one statement. */
async function notify({ pool }: Database, notifications: readonly Notification[]): Promise<void> {
  const channels = notifications.map(({ channel }) => channel)
  const payloads = notifications.map(({ payload }) => payload)
  await pool.query(
    `WITH ${relaxed}
     SELECT count(pg_notify(channel, payload)) FROM relaxed, unnest($1::text[], $2::text[]) AS sent (channel, payload)`,
    [channels, payloads],
  )
}

/**
 * Tells the nodes that own these executions, each of its own: `{"inbox": [ids]}`. What nobody owns, or `node` itself by now, costs no
 * notification.
 * At most 200, or the payload may be too long.
 */
async function notifyOwners({ pool }: Database, node: string, executionIds: readonly string[]): Promise<void> {
  await pool.query(
    `WITH ${relaxed}, owners AS (
       SELECT owner, json_agg(id) AS ids FROM workflow_executions
       WHERE id = ANY ($1::uuid[]) AND owner <> $3::uuid GROUP BY owner
     )
     SELECT count(pg_notify($2 || owner::text, json_build_object('inbox', ids)::text)) FROM relaxed, owners`,
    [executionIds, channelOf(''), node],
  )
}

/** Tells one living node, any but `node`, that something can be claimed: `{"claim": true}`. */
async function notifyClaimer({ pool }: Database, node: string): Promise<void> {
  await pool.query(
    `WITH ${relaxed}, claimer AS (
       SELECT id FROM nodes WHERE id <> $1 AND expires_at > clock_timestamp() ORDER BY random() LIMIT 1
     )
     SELECT count(pg_notify($2 || id::text, json_build_object('claim', true)::text)) FROM relaxed, claimer`,
    [node, channelOf('')],
  )
}

/** How the nodes on one database hint each other. */
export const createNotifications = (database: Database) => ({
  notify: (notifications: readonly Notification[]) => notify(database, notifications),
  notifyOwners: (node: string, executionIds: readonly string[]) => notifyOwners(database, node, executionIds),
  notifyClaimer: (node: string) => notifyClaimer(database, node),
  /** A listener for a node's own channel and the common one; not connected before its start(). */
  openListener: (node: string, events: ListenerEvents): Listener =>
    new Listener({
      connect: () => database.listenerClient(),
      // The first channel is the one that it proves itself by.
      channels: [channelOf(node), commonChannel],
      notify: (channel, payload) => notify(database, [{ channel, payload }]),
      ...events,
    }),
})

export type Notifications = ReturnType<typeof createNotifications>
