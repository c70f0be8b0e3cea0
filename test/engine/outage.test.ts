import t from 'tap'
import { silentLog } from '../../src/engine/log.ts'
import { Outage } from '../../src/engine/outage.ts'
import { CairnError } from '../../src/errors.ts'
import { startProxy } from '../faults/proxy.ts'
import { until } from '../harness/condition.ts'
import { createTestDatabase } from '../harness/database.ts'
import { echo, startEngine } from './running-engine.ts'

/** A log, and what was written to it. */
function recorded() {
  const lines: { level: string; message: string; facts: Record<string, unknown> }[] = []
  const at = (level: string) => (facts: object, message: string) =>
    void lines.push({ level, message, facts: facts as Record<string, unknown> })
  return { lines, log: { ...silentLog, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

const broken = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })

t.test('an outage is said when it begins, once a minute, and when it is over; its failures at debug', async (t) => {
  const { lines, log } = recorded()
  let now = 0
  const outage = new Outage(log, () => now)
  for (; now < 150_000; now += 250) outage.log.warn({ err: broken(), now }, 'claim failed')
  t.equal(lines.filter(({ level }) => level === 'debug').length, 600, 'each failure')
  t.match(
    lines.filter(({ level }) => level !== 'debug'),
    [
      { level: 'warn', message: /cannot be used/, facts: { failed: 'claim failed', err: { code: 'ECONNRESET' } } },
      { level: 'warn', message: /still cannot/, facts: { awayMs: 60_000, failures: 241 } },
      { level: 'warn', message: /still cannot/, facts: { awayMs: 120_000, failures: 481 } },
    ],
  )
  outage.answered()
  outage.log.warn({ err: new CairnError('DATABASE_UNAVAILABLE') }, 'claim failed')
  outage.answered()
  t.not(lines.at(-1)!.level, 'info', 'something failed between the heartbeats')
  outage.answered()
  t.match(lines.at(-1), { level: 'info', message: /can be used again/, facts: { awayMs: 150_000, failures: 601 } })
  const { length } = lines
  outage.answered()
  t.equal(lines.length, length, 'once')
  outage.log.warn({ err: broken() }, 'claim failed')
  t.equal(lines.at(-1)!.level, 'warn', 'the next one begins anew')
})

t.test('what is not for want of PostgreSQL, and what actions say, is written as it is', async (t) => {
  const { lines, log } = recorded()
  const outage = new Outage({ ...log, child: () => log }, () => 0)
  outage.log.warn({ err: broken() }, 'claim failed')
  outage.log.warn({ err: new Error('a bug') }, 'claim failed')
  outage.log.warn({ dead: [] }, 'nodes were declared dead')
  outage.log.child({}).warn({ err: broken() }, 'the target broke off')
  t.same(
    lines
      .filter(({ level }) => level === 'warn')
      .map(({ message }) => message)
      .slice(1),
    ['claim failed', 'nodes were declared dead', 'the target broke off'],
  )
})

t.test('what a subscriber throws is no outage, whatever it looks like', async (t) => {
  const { lines, log } = recorded()
  const engine = await startEngine(t, {}, { log })
  const { id } = await engine.createWorkflow({ name: 'one', steps: [echo('a')] })
  const executionId = await engine.startExecution(id)
  for (const subscribe of [
    (listener: () => void) => engine.subscribe(executionId, listener),
    (listener: () => void) => engine.feed.subscribeWorkflow(id, listener),
  ]) {
    const { length } = lines
    const { promise: heard, resolve } = Promise.withResolvers<void>()
    subscribe(() => {
      resolve()
      throw broken()
    })
    await engine.startExecution(id)
    await heard
    t.match(
      lines.slice(length).find(({ facts }) => 'err' in facts),
      { level: 'error', message: 'a subscriber threw' },
    )
  }
})

t.test('a node whose connections are refused says so once, and once that it is over', async (t) => {
  const { url } = await createTestDatabase(t)
  const proxy = await startProxy(t, url)
  const { lines, log } = recorded()
  const engine = await startEngine(t, {}, { databaseUrl: proxy.url, prepare: false, leaseMs: 3_000, log })
  proxy.refuse()
  proxy.cut()
  await until('much has failed', async () => lines.filter(({ facts }) => 'err' in facts).length > 10)
  proxy.accept()
  await until('it is over', async () => lines.some(({ message }) => message === 'PostgreSQL can be used again'))
  t.same(await engine.readiness(), [])
  t.equal(lines.filter(({ message }) => message.startsWith('PostgreSQL cannot be used')).length, 1)
  t.same(
    lines.filter(({ level, facts }) => level === 'warn' && 'err' in facts).length,
    1,
    'the only warning of an error',
  )
})
