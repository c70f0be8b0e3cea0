import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import Fastify from 'fastify'
import { pino } from 'pino'
import t from 'tap'
import { buildApp } from '../../src/app.ts'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import { errorsPlugin } from '../../src/plugins/errors.ts'
import { requestLogPlugin } from '../../src/plugins/request-log.ts'
import { timeLimitPlugin } from '../../src/plugins/time-limit.ts'
import { latch } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'

const querystring = { type: 'object', properties: { waitMs: { type: 'integer' } } }
const never = () => new Promise<never>(() => {})

t.test('what waits without end, a handler or what goes before it, is answered with 503 within the limit', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorsPlugin)
  await app.register(timeLimitPlugin, { withinMs: 20 })
  app.get('/handler', never)
  app.get('/before', { preHandler: never }, async () => 'not reached')
  app.get('/asked/:name', { schema: { querystring } }, never)
  for (const url of ['/handler', '/before', '/asked/a?waitMs=10']) {
    const answer = await app.inject(url)
    t.equal(answer.statusCode, 503, url)
    t.match(answer.json(), { code: 'DATABASE_UNAVAILABLE', instance: url.split('?')[0] })
    t.equal(answer.headers['retry-after'], '1')
  }
})

t.test('an answer that has begun may take longer, and so may one that was asked to wait', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(errorsPlugin)
  await app.register(timeLimitPlugin, { withinMs: 20 })
  const over = latch()
  app.get('/over', async (_request, reply) => {
    // The limit of this request is up by the time that this one's is answered.
    over.promise.then(() => stream.push(null))
    const stream = new Readable({ read() {} })
    stream.push('begun')
    return reply.send(stream)
  })
  app.get('/never', never)
  app.get('/asked', { schema: { querystring } }, () => over.promise.then(() => 'in time'))
  const stream = app.inject('/over').then(({ body }) => body)
  const asked = app.inject('/asked?waitMs=60000').then(({ body }) => body)
  t.equal((await app.inject('/never')).statusCode, 503)
  over.open()
  t.equal(await stream, 'begun')
  t.equal(await asked, 'in time')
})

t.test('the log says that a client did not wait for its answer', async (t) => {
  const lines: Record<string, unknown>[] = []
  const loggerInstance = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) })
  const app = Fastify({ loggerInstance, forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(requestLogPlugin)
  const reached = latch()
  app.post('/never', () => {
    reached.open()
    return never()
  })
  await app.listen({ port: 0 })
  const client = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  client.write('POST /never HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}')
  await reached.promise
  client.destroy()
  await once(client, 'close')
  const line = await until('the log says it', async () => lines.find(({ route }) => route === '/never') ?? null)
  t.match(line, { msg: 'the client did not wait for the answer', method: 'POST', durationMs: Number })
})

t.test('while the engine starts, requests are refused at once: its tables may not be there yet', async (t) => {
  const { url } = await createTestDatabase(t)
  const engine = new WorkflowEngine({ databaseUrl: url })
  t.teardown(() => engine.stop())
  const app = buildApp({ engine })
  t.teardown(() => app.close())
  await withClient(url, async (client) => {
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
    // Kysely's: another node migrates.
    await client.query('BEGIN; SELECT pg_advisory_xact_lock(3853314791062309107)')
    const started = engine.start()
    await until('it waits for the lock', async () => {
      const waiting = await client.query(
        `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
      )
      return waiting.rowCount !== 0
    })
    const answer = await app.inject('/api/workflows')
    t.equal(answer.statusCode, 503)
    t.equal(answer.json().code, 'DATABASE_UNAVAILABLE')
    t.match((await app.inject('/health/ready')).json(), { reasons: [/starting/] })
    await client.query('ROLLBACK')
    await started
  })
  t.equal((await app.inject('/api/workflows')).statusCode, 200)
})
