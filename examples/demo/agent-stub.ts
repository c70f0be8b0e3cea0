import type { IncomingMessage, ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { answer, type Loopback, listen } from './loopback.ts'

/** A model takes a while to think. */
const thinkingMs = 700

interface ChatRequest {
  readonly model: string
  readonly messages: readonly { readonly role: string; readonly content: string }[]
}

export interface Iris {
  readonly species: string
  readonly petalLength: number
  readonly petalWidth: number
}

export interface Summary {
  readonly records: number
  readonly species: readonly {
    readonly name: string
    readonly records: number
    readonly meanPetalLength: number
    readonly meanPetalWidth: number
  }[]
  readonly conclusion: string
}

/**
 * Stands in for a model: speaks OpenAI's chat completions protocol (POST /v1/chat/completions) and really computes what the
 * agent's system prompt asks for. The same data always gives the same answer.
 */
export function startAgentStub(port: number, anyPort: boolean): Promise<Loopback> {
  return listen(
    (request, response) => {
      complete(request, response).catch((error: Error) => refuse(response, 400, error.message))
    },
    port,
    anyPort,
  )
}

async function complete(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions') return refuse(response, 404, 'Not found')
  if (!request.headers.authorization?.startsWith('Bearer ')) return refuse(response, 401, 'No API key')
  const { model, messages } = (await json(request)) as ChatRequest
  const question = messages.findLast(({ role }) => role === 'user')?.content ?? ''
  const content = JSON.stringify(summarise(JSON.parse(question)))
  await delay(thinkingMs)
  const [asked, said] = [tokens(messages.map((message) => message.content).join('')), tokens(content)]
  answer(response, 200, {
    id: 'chatcmpl-stub',
    object: 'chat.completion',
    created: 0,
    model,
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: asked, completion_tokens: said, total_tokens: asked + said },
  })
}

function summarise(irises: readonly Iris[]): Summary {
  const species = Array.from(
    Map.groupBy(irises, (iris) => iris.species),
    ([name, flowers]) => ({
      name,
      records: flowers.length,
      meanPetalLength: mean(flowers.map((flower) => flower.petalLength)),
      meanPetalWidth: mean(flowers.map((flower) => flower.petalWidth)),
    }),
  ).sort((a, b) => a.meanPetalLength - b.meanPetalLength)
  const [first, last] = [species[0], species.at(-1)]
  if (!first || !last) throw new Error('There are no records to summarise')
  const times = (last.meanPetalLength / first.meanPetalLength).toFixed(1)
  const conclusion = `The petals of ${last.name} are ${times} times as long as those of ${first.name}.`
  return { records: irises.length, species, conclusion }
}

function mean(values: readonly number[]): number {
  return Number((values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(2))
}

/** A rule of thumb: four characters a token. */
const tokens = (text: string): number => Math.ceil(text.length / 4)

function refuse(response: ServerResponse, status: number, message: string): void {
  answer(response, status, { error: { message, type: 'invalid_request_error', code: null } })
}
