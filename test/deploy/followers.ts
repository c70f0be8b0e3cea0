import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { openEvents } from '../stream/sse-client.ts'
import type { Balancer } from './balancer.ts'

/** What somebody has heard of an execution, over all the connections that it took. */
export interface Heard {
  readonly seqs: number[]
  /** How each connection ended, in order. */
  readonly ends: (number | string)[]
  /** The node of each connection, in order. */
  readonly nodes: string[]
}

const isOver = (type: string): boolean => /^execution\.(completed|failed|cancelled)$/.test(type)

/** Follows an execution to its end by WebSocket; whenever the socket closes it goes on elsewhere, after what it has heard. */
export async function followBySocket(t: Test, balancer: Balancer, executionId: string): Promise<Heard> {
  const heard: Heard = { seqs: [], ends: [], nodes: [] }
  for (let isAtEnd = false; !isAtEnd; ) {
    const node = await balancer.node()
    const after = heard.seqs.at(-1) ?? 0
    const url = `${node.replace('http', 'ws')}/api/workflows/executions/${executionId}/stream?after=${after}`
    const socket = new WebSocket(url)
    t.teardown(() => socket.terminate())
    socket.on('message', (data) => {
      const message = JSON.parse(String(data))
      if (message.type !== 'event') return
      heard.seqs.push(message.seq)
      isAtEnd ||= isOver(message.event.type)
      if (isAtEnd) socket.close()
    })
    const closed = new Promise<number>((resolve) => socket.once('close', resolve))
    // Refused, by connection or by 503: the node is about to go.
    const opened = await once(socket, 'open').catch(() => null)
    if (opened === null) {
      await delay(50)
      continue
    }
    heard.nodes.push(node)
    heard.ends.push(await closed)
  }
  return heard
}

/** As `followBySocket`, by server-sent events and their Last-Event-ID. */
export async function followByEvents(t: Test, balancer: Balancer, executionId: string): Promise<Heard> {
  const heard: Heard = { seqs: [], ends: [], nodes: [] }
  for (let isAtEnd = false; !isAtEnd; ) {
    const node = await balancer.node()
    const last = String(heard.seqs.at(-1) ?? 0)
    const url = `${node}/api/workflows/executions/${executionId}/events/stream`
    const client = await openEvents(t, url, { 'last-event-id': last }).catch(() => null)
    if (client === null || client.response.statusCode !== 200) {
      client?.response.destroy()
      await delay(50)
      continue
    }
    heard.nodes.push(node)
    // Closed without an end: the connection was cut.
    const closed = once(client.response, 'close').then(() => (client.response.complete ? 'ended' : 'cut'))
    const reachedEnd = client.until((frames) => frames.some(({ data }) => isOver(data?.event?.type ?? '')))
    await Promise.race([closed, reachedEnd])
    isAtEnd = client.messages.some(({ data }) => isOver(data?.event?.type ?? ''))
    heard.seqs.push(...client.seqs)
    if (isAtEnd) client.response.destroy()
    else heard.ends.push(await closed)
  }
  return heard
}
