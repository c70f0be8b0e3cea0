import { get, type IncomingMessage } from 'node:http'
import type { Test } from 'tap'
import { Heard } from '../engine/recorder.ts'

export interface Frame {
  readonly id?: string
  readonly event?: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly data?: any
  readonly comment?: string
  readonly retry?: string
}

/** Reads server-sent events as the standard says: fields by line, frames by empty line. */
export class SseClient extends Heard<Frame> {
  readonly response: IncomingMessage
  readonly ended: Promise<void>

  constructor(response: IncomingMessage) {
    super()
    this.response = response
    this.ended = new Promise((resolve) => response.once('end', resolve))
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const frames = text.split('\n\n')
      text = frames.pop()!
      for (const frame of frames) this.listener(parse(frame))
    })
  }

  get seqs(): number[] {
    return this.messages.filter(({ event }) => event === 'event').map(({ data }) => data.seq)
  }
}

function parse(frame: string): Frame {
  const fields = frame.split('\n').map((line): [string, unknown] => {
    const [name, ...rest] = line.split(': ')
    const value = rest.join(': ')
    return [name === '' ? 'comment' : name!, name === 'data' ? JSON.parse(value) : value]
  })
  return Object.fromEntries(fields)
}

/** Opens a stream of server-sent events; it is cut at the test's end. Rejects when nobody answers. */
export function openEvents(t: Test, url: string, headers: Record<string, string> = {}): Promise<SseClient> {
  const { promise, resolve, reject } = Promise.withResolvers<SseClient>()
  const request = get(url, { headers, agent: false }, (response) => resolve(new SseClient(response)))
  request.on('error', reject)
  t.teardown(() => request.destroy())
  return promise
}
