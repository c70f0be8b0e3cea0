import type { FastifyInstance, InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { Type } from 'typebox'
import { type AppOptions, buildApp } from '../../src/app.ts'
import { defineAction } from '../../src/engine/actions/action.ts'
import type { EventType } from '../../src/engine/core/event.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { Contract } from './contract.ts'

export interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | number | undefined>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers that the contract has checked
  readonly body: any
}

interface CallOptions {
  readonly body?: unknown
  /** Sent as it is, for what is no JSON. */
  readonly rawBody?: string | Buffer
  readonly headers?: Record<string, string>
}

/** The REST interface of a real engine on a database of the test's own. Every answer is held against its OpenAPI description. */
export interface Api {
  readonly app: FastifyInstance
  readonly engine: WorkflowEngine
  readonly databaseUrl: string
  call(method: string, url: string, options?: CallOptions): Promise<Answer>
  /** Creates a workflow of these steps and answers with the resource. */
  workflow(steps: readonly object[], definition?: object): Promise<Answer['body']>
  /** Starts an execution and waits for its end. */
  run(workflowId: string, input?: unknown): Promise<Answer['body']>
  /** The `gate` action of that name: it waits until it is opened. */
  gate(name: string): Gate
  /** Waits until the execution's journal holds an event of that type. */
  event(executionId: string, type: EventType): Promise<void>
}

export interface Gate {
  /** An attempt has come to it. */
  readonly reached: Promise<void>
  open(): void
}

export async function startApi(t: Test, options: Partial<AppOptions> = {}): Promise<Api> {
  const { url: databaseUrl } = await createTestDatabase(t)
  const gates = new Map<string, Gate & { opened: Promise<void>; reach(): void }>()
  const engine = new WorkflowEngine({ databaseUrl, drainMs: 10, actions: [gateAction((name) => gateOf(gates, name))] })
  t.teardown(() => engine.stop())
  await engine.start()
  const app = buildApp({ engine, ...options })
  t.teardown(() => app.close())
  await app.ready()

  const contract = new Contract(app.swagger())
  let made = 0
  const call: Api['call'] = async (method, url, { body, rawBody, headers = {} } = {}) => {
    const answer = await app.inject({
      method: method as InjectOptions['method'],
      url,
      headers: {
        ...(body !== undefined || rawBody !== undefined ? { 'content-type': 'application/json' } : {}),
        ...headers,
      },
      payload: rawBody ?? (body === undefined ? undefined : JSON.stringify(body)),
    } as InjectOptions)
    const isJson = String(answer.headers['content-type']).includes('json')
    const result = { status: answer.statusCode, headers: answer.headers, body: isJson ? answer.json() : answer.body }
    const faults = contract.faults(method, url.split('?')[0]!, result)
    if (faults.length > 0) throw new Error(`${method} ${url} does not answer as OpenAPI says: ${faults.join('; ')}`)
    return result
  }
  return {
    app,
    engine,
    databaseUrl,
    call,
    gate: (name) => gateOf(gates, name),
    async event(executionId, type) {
      const event = await engine.feed.waitFor(executionId, 0, (event) => event.type === type, 60_000)
      if (event === null) throw new Error(`no ${type} within a minute`)
    },
    async workflow(steps, definition = {}) {
      const { status, body } = await call('POST', '/api/workflows', {
        body: { name: `workflow ${++made}`, steps, ...definition },
      })
      if (status !== 201) throw new Error(JSON.stringify(body))
      return body
    },
    async run(workflowId, input) {
      const { status, body } = await call('POST', '/api/workflows/executions?waitMs=60000', {
        body: { workflowId, input },
      })
      if (status !== 201) throw new Error(JSON.stringify(body))
      return body
    },
  }
}

/** A step that returns a value, or what flows into it. */
export const echo = (id: string, value?: unknown) => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo', ...(value !== undefined && { value }) },
})

/** A step that waits until its gate is opened; its output is the gate's name. */
export const gateStep = (id: string, gate = id) => ({ id, type: 'action', config: { type: 'gate', name: gate } })

/** A gate's name that nobody else uses. */
export const newGate = (): string => `gate ${++gatesMade}`
let gatesMade = 0

/** A step that fails for good. */
export const failing = (id: string) => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'echo', fail: 'no such luck' },
})

export const unknownId = '0199f3a8-7c1e-7d3a-9b52-0c8e4f6a1d27'

const gateAction = (gateNamed: (name: string) => { opened: Promise<void>; reach(): void }) =>
  defineAction({
    type: 'gate',
    configSchema: Type.Object({ name: Type.String() }, { additionalProperties: false }),
    async perform({ name }, { signal }) {
      const gate = gateNamed(name)
      gate.reach()
      const aborted = Promise.withResolvers<never>()
      signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
      await Promise.race([gate.opened, aborted.promise])
      return { output: name }
    },
  })

function gateOf(gates: Map<string, Gate & { opened: Promise<void>; reach(): void }>, name: string) {
  const known = gates.get(name)
  if (known) return known
  const reached = Promise.withResolvers<void>()
  const opened = Promise.withResolvers<void>()
  const gate = { reached: reached.promise, reach: reached.resolve, opened: opened.promise, open: opened.resolve }
  gates.set(name, gate)
  return gate
}
