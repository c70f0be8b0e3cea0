import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { AgentOptions } from '../../../src/engine/actions/agent-protocol.ts'
import { createAiAgentCall } from '../../../src/engine/actions/ai-agent-call.ts'
import { Secrets } from '../../../src/engine/secrets.ts'
import { freePort } from '../../harness/free-port.ts'
import { attempt, contextOf, failure } from './attempt.ts'
import { listen, type Received, sendJson } from './loopback.ts'

const schema = {
  type: 'object',
  properties: { sum: { type: 'number' }, label: { type: 'string', maxLength: 5 } },
  required: ['sum'],
  additionalProperties: false,
}

/** A completion as OpenAI-compatible servers write it. */
const completion = (content: string, more: object = {}) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'small-2026',
  choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
  ...more,
})

const stub = async (
  t: Test,
  answer: (response: ServerResponse, request: Received) => void,
  agent: Partial<AgentOptions> = {},
) => {
  const server = await listen(t, (request, response) => answer(response, request))
  const agents = { writer: { baseUrl: `${server.url}/v1`, model: 'small', apiKey: 'sk-live-key', ...agent } }
  const { action, close } = createAiAgentCall({ agents, secrets: new Secrets({}, ['sk-live-key']) })
  t.teardown(close)
  return { server, action, asked: () => JSON.parse(server.received.at(-1)?.body ?? 'null') }
}

t.test('the output is the text of the answer; model, usage and finish reason are meta', async (t) => {
  const { action, server, asked } = await stub(t, (response) => sendJson(response, completion('Hello')), {
    systemPrompt: 'Be brief.',
    temperature: 0.5,
    headers: { 'x-team': 'blue' },
  })
  t.same(await attempt(action, { agent: 'writer', prompt: 'Greet', maxOutputTokens: 9 }), {
    output: 'Hello',
    meta: {
      agent: 'writer',
      model: 'small-2026',
      finishReason: 'stop',
      usage: { inputTokens: 11, outputTokens: 7, totalTokens: 18, cachedInputTokens: 0, reasoningTokens: 0 },
    },
  })
  t.match(server.received, [
    {
      method: 'POST',
      url: '/v1/chat/completions',
      headers: {
        authorization: 'Bearer sk-live-key',
        'x-team': 'blue',
        'x-correlation-id': 'correlation-1',
        traceparent: /^00-/,
        'idempotency-key': contextOf().idempotencyKey,
      },
    },
  ])
  t.match(asked(), {
    model: 'small',
    temperature: 0.5,
    max_tokens: 9,
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Greet' },
    ],
  })
})

t.test(
  'the prompt defaults to the data of the step; what is no text goes as JSON; the step may override the agent',
  async (t) => {
    const { action, asked } = await stub(t, (response) => sendJson(response, completion('x')), {
      systemPrompt: 'agent',
      temperature: 1,
    })
    await attempt(action, { agent: 'writer', system: 'step', temperature: 0 }, { data: [{ a: 1 }] })
    t.match(asked(), {
      temperature: 0,
      messages: [
        { role: 'system', content: 'step' },
        { role: 'user', content: '[{"a":1}]' },
      ],
    })
    t.match(await failure(action, { agent: 'writer' }, { data: '  ' }), {
      type: 'ValidationError',
      message: 'The prompt is empty',
    })
  },
)

t.test('with an output schema the server is asked for it and the output is an object', async (t) => {
  const { action, asked } = await stub(t, (response) => sendJson(response, completion('{"sum":3}')), {
    outputSchema: schema,
  })
  t.same((await attempt(action, { agent: 'writer', prompt: 'Add' })).output, { sum: 3 })
  t.match(asked().response_format, { type: 'json_schema', json_schema: { schema: { required: ['sum'] } } })
})

t.test("a step's own output schema comes before the agent's", async (t) => {
  const { action } = await stub(t, (response) => sendJson(response, completion('[1]')), { outputSchema: schema })
  const own = { type: 'array', items: { type: 'integer' } }
  t.same((await attempt(action, { agent: 'writer', prompt: 'Count', outputSchema: own })).output, [1])
})

t.test('a server without structured outputs gets the schema in its instructions', async (t) => {
  const { action, asked } = await stub(t, (response) => sendJson(response, completion('{"sum":3}')), {
    outputSchema: schema,
    structuredOutputs: false,
    systemPrompt: 'Add.',
  })
  t.same((await attempt(action, { agent: 'writer', prompt: 'Add' })).output, { sum: 3 })
  t.match(asked().messages[0], {
    role: 'system',
    content: /^Add\.\n\nAnswer with nothing but JSON .*"required":\["sum"\]/s,
  })
  t.match(asked().response_format, { type: 'json_object' })
})

t.test('an answer that does not fit is an AgentError that says where, and worth another attempt', async (t) => {
  const answers = ['{"label":"sixsix","x":1}', 'no json sk-live-key', '{"sum":']
  const { action } = await stub(t, (response) => sendJson(response, completion(answers.shift() ?? '')), {
    outputSchema: schema,
  })
  const ask = () => failure(action, { agent: 'writer', prompt: 'Add' })
  const unfit = await ask()
  t.match(unfit, { type: 'AgentError', retryable: true })
  t.same(
    new Set(((unfit.details?.faults ?? []) as { pointer: string }[]).map(({ pointer }) => pointer)),
    new Set(['', '/label']),
  )
  t.match(await ask(), { type: 'AgentError', retryable: true, details: { text: 'no json [redacted]' } })
  t.match(await ask(), { type: 'AgentError', message: /is not valid JSON/ })
})

t.test('refusals of the server are AgentErrors with its status; asked once each', async (t) => {
  const { action, server } = await stub(t, (response, { headers }) => {
    response.setHeader('retry-after', '3')
    sendJson(
      response,
      { error: { message: `bad key ${headers.authorization}` } },
      Number(/\d+/.exec(statuses.at(0) ?? '')),
    )
  })
  const statuses = ['400', '401', '404', '408', '429', '500', '503']
  const seen: unknown[] = []
  while (statuses.length > 0) {
    const { type, retryable, details, message } = await failure(action, { agent: 'writer', prompt: 'x' })
    t.equal(type, 'AgentError')
    t.notMatch(message + JSON.stringify(details), /sk-live/)
    seen.push([details?.status, retryable, details?.retryAfterMs])
    statuses.shift()
  }
  t.same(seen, [
    [400, false, undefined],
    [401, false, undefined],
    [404, false, undefined],
    [408, true, undefined],
    [429, true, 3_000],
    [500, true, undefined],
    [503, true, 3_000],
  ])
  t.equal(server.received.length, 7, 'the retries of the SDK are off')
})

t.test('an answer that is no completion is not worth another attempt', async (t) => {
  const { action } = await stub(t, (response) => sendJson(response, { hello: 'world' }))
  t.match(await failure(action, { agent: 'writer', prompt: 'x' }), {
    type: 'AgentError',
    retryable: false,
    details: { status: 200 },
  })
})

t.test('a content filter that stopped the answer is a failure', async (t) => {
  const choices = [{ index: 0, message: { role: 'assistant', content: '' }, finish_reason: 'content_filter' }]
  const { action } = await stub(t, (response) => sendJson(response, completion('', { choices })))
  t.match(await failure(action, { agent: 'writer', prompt: 'x' }), {
    type: 'AgentError',
    retryable: false,
    message: /content filter/,
  })
})

t.test('a connection that fails is worth another attempt and tells the system code', async (t) => {
  const { action } = await stub(t, () => {}, { baseUrl: `http://127.0.0.1:${await freePort()}/v1` })
  t.match(await failure(action, { agent: 'writer', prompt: 'x' }), {
    type: 'AgentError',
    retryable: true,
    cause: { type: 'ECONNREFUSED' },
  })
  const broken = await stub(t, (response) => response.destroy())
  t.match(await failure(broken.action, { agent: 'writer', prompt: 'x' }), { type: 'AgentError', retryable: true })
})

t.test('an abort ends the call with its reason', async (t) => {
  const abort = new AbortController()
  const reason = new Error('cancelled')
  const closed = Promise.withResolvers<void>()
  const { action } = await stub(t, (response) => {
    response.on('close', () => closed.resolve())
    abort.abort(reason)
  })
  await t.rejects(attempt(action, { agent: 'writer', prompt: 'x' }, { signal: abort.signal }), reason)
  await closed.promise
})

t.test('nothing is sent when the node may perform nothing', async (t) => {
  const { action, server } = await stub(t, (response) => sendJson(response, completion('x')))
  const refusal = new Error('the lease is over')
  const refuse = () => {
    throw refusal
  }
  await t.rejects(attempt(action, { agent: 'writer', prompt: 'x' }, { mayPerform: refuse }), refusal)
  t.equal(server.received.length, 0)
})

t.test('an unknown agent is a ValidationError that names the known ones', async (t) => {
  const { action } = await stub(t, () => {})
  t.match(await failure(action, { agent: 'reader' }), {
    type: 'ValidationError',
    message: 'There is no agent "reader": there are writer',
  })
  const { action: none, close } = createAiAgentCall({ agents: {}, secrets: new Secrets() })
  t.teardown(close)
  t.match(await failure(none, { agent: 'reader' }), { message: /none is configured; see CAIRN_CONFIG/ })
})

t.test('a schema that is none is told at the start for an agent, at the attempt for a step', async (t) => {
  const bad = { type: 'strnig' }
  const agents = { a: { baseUrl: 'http://h/v1', model: 'm', outputSchema: bad } }
  t.throws(() => createAiAgentCall({ agents, secrets: new Secrets() }), {
    message: /^agent a: outputSchema is no JSON Schema/,
  })
  const { action } = await stub(t, () => {})
  t.match(await failure(action, { agent: 'writer', outputSchema: bad }), {
    type: 'ValidationError',
    message: /^\/outputSchema is no/,
  })
})
