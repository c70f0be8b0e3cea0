import t from 'tap'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import type { Log } from '../../src/engine/log.ts'
import { createTestDatabase } from '../harness/database.ts'
import { listen, sendJson } from './actions/loopback.ts'

const secret = 'correct/horse "battery"'
const agentKey = 'sk-live-agent-key'

t.test(
  'no secret and no key reaches the journal, an answer, an error or the log, though the servers send them back',
  async (t) => {
    const { url } = await createTestDatabase(t)
    const mirror = await listen(t, (request, response) => {
      response.setHeader('x-mirror', String(request.headers.authorization ?? ''))
      const status = request.url.startsWith('/fail') ? 400 : 200
      if (!request.url.startsWith('/v1')) return sendJson(response, { mirrored: { ...request } }, status)
      const message = { role: 'assistant', content: `You sent ${request.headers.authorization} and ${request.body}` }
      sendJson(response, { id: '1', created: 1, model: 'm', choices: [{ index: 0, message, finish_reason: 'stop' }] })
    })
    const lines: unknown[] = []
    const keep = (...line: unknown[]) => void lines.push(line)
    const log = {
      trace: keep,
      debug: keep,
      info: keep,
      warn: keep,
      error: keep,
      fatal: keep,
      child: () => log,
    } as unknown as Log
    const dataSource = new URL(url)
    dataSource.searchParams.set('password', 'hunter-second')
    const engine = new WorkflowEngine({
      databaseUrl: url,
      log,
      secrets: { KEY: secret },
      targets: {
        http: { allowedHosts: [mirror.host] },
        agents: { writer: { baseUrl: `${mirror.url}/v1`, model: 'm', apiKey: agentKey } },
        dataSources: { main: { url: dataSource.href } },
      },
    })
    t.teardown(() => engine.stop())
    await engine.start()
    const http = (id: string, path: string) => ({
      id,
      name: id,
      type: 'action',
      config: {
        type: 'http_request',
        url: `${mirror.url}${path}`,
        method: 'POST',
        query: { q: '{{ secrets.KEY }}' },
        body: { nested: ['{{ secrets.KEY }}'] },
        auth: { type: 'basic', username: 'user', password: '{{ secrets.KEY }}' },
      },
    })
    const workflow = await engine.createWorkflow({
      name: 'secrecy',
      steps: [
        http('mirrored', '/ok'),
        {
          id: 'stored',
          name: 'stored',
          type: 'action',
          config: {
            type: 'database_query',
            dataSource: 'main',
            query: 'SELECT $1::json AS had',
            parameters: ['{{ JSON.stringify(data) }}'],
          },
        },
        { id: 'asked', name: 'asked', type: 'action', config: { type: 'ai_agent_call', agent: 'writer' } },
        http('failed', '/fail'),
      ],
    })
    const id = await engine.startExecution(workflow.id)
    const ended = await engine.waitForEnd(id, 30_000)
    t.match(ended, { status: 'failed', error: { type: 'Http4xx', stepPath: 'failed', details: { status: 400 } } })
    t.equal(mirror.received.length, 3, 'the servers were asked')
    t.match(mirror.received[0]?.body, 'correct/horse', 'and got the secret')

    const events = await engine.store.eventsAfter(id, 0, 100)
    const recorded = JSON.stringify([ended, events, await engine.getSteps(id), lines])
    t.match(recorded, /\[redacted\]/)
    for (const form of [
      'correct/horse',
      'correct%2Fhorse',
      Buffer.from(`user:${secret}`).toString('base64').slice(8, 24),
      agentKey,
      'hunter-second',
    ]) {
      t.notOk(recorded.includes(form), form)
    }
    t.equal(events.filter((event) => event.type === 'step.completed').length, 3)
  },
)
