import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { largestPayload } from '../repository/notifications.ts'
import { executionStatuses } from './core/state.ts'

const Ids = Type.Array(Type.String())
const Change = Type.Object({
  id: Type.String(),
  workflowId: Type.String(),
  status: Type.Enum(executionStatuses),
  lastSeq: Type.Integer(),
  percentage: Type.Number(),
  updatedAt: Type.Integer(),
})

/**
 * What nodes tell each other by NOTIFY. All of it may be lost, and all that it says is found by polling too. A newer release
 * may say more: what is not known here is passed over.
 */
const HintMessage = Type.Object({
  /** The node that says it. */
  from: Type.Optional(Type.String()),
  /** It hears from now on: who watches what? */
  hello: Type.Optional(Type.Boolean()),
  /** Executions and workflows that its subscribers watch. */
  watch: Type.Optional(Ids),
  /** What none of its subscribers watches any more. */
  unwatch: Type.Optional(Ids),
  /** Executions and the seq up to which they are committed; null: whatever there is. */
  events: Type.Optional(Type.Array(Type.Tuple([Type.String(), Type.Union([Type.Integer(), Type.Null()])]))),
  /** Executions of a watched workflow whose status changed. */
  changes: Type.Optional(Type.Array(Change)),
  /** Executions of the node that hears it whose inbox holds something. */
  inbox: Type.Optional(Ids),
  /** Circuits have changed. */
  circuits: Type.Optional(Type.Boolean()),
  /** Something can be claimed. */
  claim: Type.Optional(Type.Boolean()),
})
export type HintMessage = Static<typeof HintMessage>

/** Null for what is no message of ours: anybody may NOTIFY. */
export function parseHint(payload: string): HintMessage | null {
  try {
    const message: unknown = JSON.parse(payload)
    return Value.Check(HintMessage, message) ? message : null
  } catch {
    return null
  }
}

/** What the members around the items take. */
const ENVELOPE_BYTES = 120

/** As many messages as it takes for each to fit into a notification. */
export function hintPayloads<Item>(items: Iterable<Item>, messageOf: (items: Item[]) => HintMessage): string[] {
  const payloads: string[] = []
  let page: Item[] = []
  let bytes = ENVELOPE_BYTES
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1
    if (page.length > 0 && bytes + size > largestPayload) {
      payloads.push(JSON.stringify(messageOf(page)))
      page = []
      bytes = ENVELOPE_BYTES
    }
    page.push(item)
    bytes += size
  }
  if (page.length > 0) payloads.push(JSON.stringify(messageOf(page)))
  return payloads
}
