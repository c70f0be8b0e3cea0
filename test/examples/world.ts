import type { IncomingHttpHeaders } from 'node:http'
import type { Test } from 'tap'
import type { Json } from '../../src/definition/json.ts'
import { listen, type Received, sendJson } from '../engine/actions/loopback.ts'

/** What a service says; a text goes as text/plain, all else as JSON. `hang up`: it took the request and nobody hears more. */
export type Answer = { readonly status: number; readonly body: Json } | 'hang up'
type Reply = Answer | ((call: Call) => Answer | Promise<Answer>)

/**
 * The services around one execution by route, `POST /mails` or `agent triage`, a `*` at the end for whatever follows.
 * Several replies are given one after the other, the last one for good.
 */
export type World = Readonly<Record<string, Reply | readonly Reply[]>>

/** A request as it came. */
export interface Call {
  /** As the world names it. */
  readonly route: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: IncomingHttpHeaders
  readonly body: Json
}

/** All that one execution asked for, in order. */
export interface Traffic {
  readonly calls: Call[]
  /** Requests that no service of its world knows. */
  readonly unforeseen: string[]
}

export const ok = (body: Json): Answer => ({ status: 200, body })
export const created = (body: Json): Answer => ({ status: 201, body })
export const status = (code: number): Answer => ({ status: code, body: { message: `It is ${code}` } })

/** Replies that wait for each other: none is given before so many were asked for. What is not asked for at once never ends. */
export function together(count: number): (answer: Answer) => Reply {
  const { promise, resolve } = Promise.withResolvers<void>()
  let waiting = 0
  return (answer) => async () => {
    waiting += 1
    if (waiting === count) resolve()
    await promise
    return answer
  }
}

/** The machine that all worlds are on: who asks is told by the correlation id, which every request must carry. */
export interface Loopback {
  /** Without a slash at its end. */
  readonly url: string
  readonly host: string
  /** What must be configured for an agent of these worlds. */
  agent(name: string): { baseUrl: string; model: string; apiKey: string }
  enter(correlationId: string, world: World): Traffic
}

const apiKey = 'sk-agents-of-the-world'
/** The secret BANK_TOKEN. */
export const bankToken = 'a-token-that-only-the-bank-may-see'

/** Listens until the test ends. */
export async function openLoopback(t: Test): Promise<Loopback> {
  const worlds = new Map<string, { world: World; traffic: Traffic }>()
  const { url, host } = await listen(t, async (request, response) => {
    const place = worlds.get(String(request.headers['x-correlation-id']))
    if (!place) return sendJson(response, { message: 'Nobody knows on whose behalf this is' }, 400)
    const answer = await answerOf(place.world, place.traffic, request)
    if (answer === 'hang up') response.destroy()
    else if (typeof answer.body !== 'string') sendJson(response, answer.body, answer.status)
    else response.writeHead(answer.status, { 'content-type': 'text/plain' }).end(answer.body)
  })
  return {
    url,
    host,
    agent: (name) => ({ baseUrl: `${url}/agents/${name}/v1`, model: `${name}-1`, apiKey }),
    enter(correlationId, world) {
      const traffic: Traffic = { calls: [], unforeseen: [] }
      worlds.set(correlationId, { world, traffic })
      return traffic
    },
  }
}

async function answerOf(world: World, { calls, unforeseen }: Traffic, request: Received): Promise<Answer> {
  const { method, headers } = request
  const { pathname, searchParams } = new URL(request.url, 'http://world')
  const agent = /^\/agents\/(.+)\/v1\/chat\/completions$/.exec(pathname)?.[1]
  const name = agent === undefined ? `${method} ${pathname}` : `agent ${agent}`
  const route = Object.keys(world).find((key) => (key.endsWith('*') ? name.startsWith(key.slice(0, -1)) : name === key))
  if (route === undefined) {
    unforeseen.push(`${method} ${request.url}`)
    return status(404)
  }
  const earlier = calls.filter((call) => call.route === route).length
  const body = headers['content-type']?.includes('json') ? (JSON.parse(request.body) as Json) : request.body
  const call = { route, query: Object.fromEntries(searchParams), headers, body }
  calls.push(call)
  const replies = [world[route]!].flat() as Reply[]
  const reply = replies[earlier] ?? replies.at(-1)!
  const answer = typeof reply === 'function' ? await reply(call) : reply
  if (agent === undefined || answer === 'hang up') return answer
  return headers.authorization === `Bearer ${apiKey}` ? completion(answer) : status(401)
}

/** As OpenAI's chat completions have it. */
function completion(answer: Exclude<Answer, 'hang up'>): Answer {
  if (answer.status !== 200) return answer
  const content = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
  return ok({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 0,
    model: 'stub',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
  })
}
