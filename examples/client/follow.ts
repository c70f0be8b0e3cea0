import { on } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { JournalEvent, Progress } from './client.ts'

/** What the stream of an execution says; openapi/asyncapi.json has it all. */
export type StreamMessage =
  | { readonly type: 'snapshot'; readonly seq: number; readonly progress: Progress }
  | { readonly type: 'event'; readonly seq: number; readonly percentage: number; readonly event: JournalEvent }
  | { readonly type: 'step.started'; readonly path: string; readonly attempt: number }
  | { readonly type: 'lagged'; readonly fromSeq: number; readonly toSeq: number }
  | { readonly type: 'error'; readonly message: string }

const attempts = 5
const pauseMs = 200

/**
 * Follows an execution over WebSocket: its events after a seq, stored ones first, then live, each exactly once. A connection
 * that breaks is made again and goes on after the last event that was seen. It does not end with the execution, which may be
 * rolled back yet: the caller stops listening.
 */
export async function* follow(url: string, executionId: string, after = 0): AsyncGenerator<StreamMessage> {
  const address = `${url.replace(/^http/, 'ws')}/api/workflows/executions/${executionId}/stream`
  let seen = after
  for (let left = attempts; left > 0; left -= 1) {
    const socket = new WebSocket(`${address}?after=${seen}`)
    try {
      for await (const [{ data }] of on(socket, 'message', { close: ['close'] })) {
        const message = JSON.parse(data) as StreamMessage
        if (message.type === 'error') throw new Error(message.message)
        // We were too slow for what the service holds back for us: ask for it again.
        if (message.type === 'lagged') break
        if (message.type === 'event') seen = message.seq
        left = attempts
        yield message
      }
    } finally {
      socket.close()
    }
    await delay(pauseMs)
  }
  throw new Error(`The stream of execution ${executionId} at ${url} broke off`)
}
