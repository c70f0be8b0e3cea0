/** PostgreSQL is there and takes no writes: read-only, a full disk, no connection left. Executions wait, and go on by themselves. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { call, echo, journalOf, latch, run, startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { withClient } from '../harness/server.ts'
import { patiently, stayAlive } from './load.ts'
import { cannotRunPostgres, type OwnPostgres, startOwnPostgres } from './own-postgres.ts'

const options = { skip: cannotRunPostgres, timeout: 200_000 }

/** An execution that comes out of its first step while nothing can be written, and must end once it can again. */
async function waitsAndGoesOn(
  t: Test,
  engine: WorkflowEngine,
  { reached, open, performed }: { reached: Promise<unknown>; open(): void; performed: readonly string[] },
  { id, breaks, reason, mends }: { id: string; breaks(): Promise<void>; reason: RegExp; mends(): Promise<void> },
): Promise<void> {
  await reached
  // Of a workflow of its own: what is answered with 503 may be done all the same, later.
  const { id: workflowId } = await engine.createWorkflow({ name: 'refused', steps: [echo('a')] })
  const before = await journalOf(engine, id)
  t.same(await engine.readiness(), [])
  await breaks()
  open()
  await until(`readiness says ${reason}`, async () => (await engine.readiness()).some((text) => reason.test(text)))
  t.comment((await engine.readiness()).join('; '))
  await until('starts are refused at once', () =>
    engine.requestStart({ workflowId }).then(
      () => false,
      (error) => error.code === 'DATABASE_UNAVAILABLE',
    ),
  )
  t.same(performed, ['hold'], 'nothing is performed on what is not written')
  await mends()
  const mendedAt = performance.now()
  await until('the execution has ended', async () => {
    return (await patiently(() => engine.getExecution(id))).status === 'completed'
  })
  t.comment(`ended ${Math.round(performance.now() - mendedAt)} ms after it was mended`)
  await until('the node is ready', async () => (await engine.readiness()).length === 0)
  t.same(performed, ['hold', 'after'])
  const journal = await journalOf(engine, id)
  t.same(journal.slice(0, before.length), before)
  t.notOk(
    journal.some(({ seq }, index) => seq !== index + 1),
    'no hole',
  )
}

function work(output: string) {
  const reached = latch()
  const gate = latch()
  const performed: string[] = []
  const hold = () => {
    performed.push('hold')
    reached.open()
    return gate.promise.then(() => output)
  }
  const after = () => performed.push('after')
  return { calls: { hold, after }, reached: reached.promise, open: () => gate.open(), performed }
}

t.test('a server that became read-only', options, async (t) => {
  stayAlive(t)
  const server = await startOwnPostgres(t)
  const held = work('done')
  const engine = await startEngine(t, held.calls, { databaseUrl: server.url, leaseMs: 120_000 })
  const id = await run(engine, [call('hold'), call('after')])
  const set = (value: 'on' | 'off') =>
    withClient(server.url, async (client) => {
      await client.query('SET default_transaction_read_only = off')
      await client.query(`ALTER SYSTEM SET default_transaction_read_only = ${value}`)
      await client.query('SELECT pg_reload_conf()')
    })
  await waitsAndGoesOn(t, engine, held, {
    id,
    breaks: () => set('on'),
    reason: /PostgreSQL is read-only/,
    mends: () => set('off'),
  })
})

const cannotMount = ((): string | false => {
  if (process.geteuid?.() !== 0 || !existsSync('/bin/mount')) return 'only root may mount a small disk: run as root'
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
    execFileSync('umount', [folder])
    return false
  } catch {
    return 'this root may not mount a small disk: run where mount(8) is allowed'
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})()

t.test('a full disk', { ...options, skip: cannotRunPostgres || cannotMount }, async (t) => {
  stayAlive(t)
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-disk-'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=192m,mode=755', 'tmpfs', folder])
  t.teardown(() => {
    execFileSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const server = await startOwnPostgres(t, { folder, settings: { max_wal_size: '64MB', wal_recycle: 'off' } })
  // What cannot be compressed needs room in the table.
  const held = work(Array.from({ length: 60_000 }, () => Math.random().toString(36).slice(2)).join(''))
  const engine = await startEngine(t, held.calls, { databaseUrl: server.url, leaseMs: 120_000 })
  const id = await run(engine, [call('hold'), call('after')])
  const ballast = path.join(folder, 'ballast')
  await waitsAndGoesOn(t, engine, held, {
    id,
    async breaks() {
      const { bavail, bsize } = statfsSync(folder)
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - 128 * 1024)))
    },
    reason: /the disk of PostgreSQL is full|PostgreSQL cannot be reached|PostgreSQL starts or stops/,
    async mends() {
      rmSync(ballast)
      await serverIsUp(server)
    },
  })
})

/** A server that could not write its WAL has ended itself, and takes its operator to start. */
async function serverIsUp(server: OwnPostgres): Promise<void> {
  await until('the server takes connections', async () => {
    if (
      await server.sql('SELECT 1').then(
        () => true,
        () => false,
      )
    )
      return true
    await server.start().catch(() => {})
    return false
  })
}

t.test('all connections of the server taken: flushes and heartbeats have theirs', options, async (t) => {
  stayAlive(t)
  const server = await startOwnPostgres(t, { settings: { max_connections: '20' } })
  const held = work('done')
  const after = latch()
  const calls = {
    ...held.calls,
    after: () => {
      after.open()
      return null
    },
  }
  const engine = await startEngine(t, calls, { databaseUrl: server.url, leaseMs: 120_000, poolSize: 4 })
  const id = await run(engine, [call('hold'), call('after')])
  await held.reached
  const taken: pg.Client[] = []
  t.teardown(() => Promise.all(taken.map((client) => client.end())))
  await until('the server has no connection left', async () => {
    const client = new pg.Client({ connectionString: server.url })
    client.on('error', () => {})
    const isTaken = await client.connect().then(
      () => true,
      (error) => error.code !== '53300',
    )
    if (isTaken) taken.push(client)
    return !isTaken
  })
  held.open()
  await after.promise
  t.pass('the step after the commit is performed')
  await Promise.all(taken.splice(0).map((client) => client.end()))
  t.equal((await patiently(() => engine.waitForEnd(id, 20_000))).status, 'completed')
})
