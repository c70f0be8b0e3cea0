/** The primary dies, and a replica takes its place under the same address. */
import t, { type Test } from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { call, journalOf, latch, run, seen, startEngine } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import { breakUnderLoad, patiently, stayAlive } from './load.ts'
import { cannotRunPostgres, type OwnPostgres, replicaOf, startOwnPostgres } from './own-postgres.ts'
import { type Passage, startProxy } from './proxy.ts'

const options = { skip: cannotRunPostgres, timeout: 280_000 }

interface Pair {
  readonly primary: OwnPostgres
  readonly replica: OwnPostgres
  /** The address that engines know. */
  readonly address: Passage
}

async function startPair(t: Test): Promise<Pair> {
  const primary = await startOwnPostgres(t)
  const replica = await replicaOf(t, primary, 'replica')
  await until('the replica follows', async () => (await primary.sql('SELECT 1 FROM pg_stat_replication')).length === 1)
  return { primary, replica, address: await startProxy(t, primary.url) }
}

async function failOver({ primary, replica, address }: Pair): Promise<void> {
  await primary.kill()
  await replica.promote()
  address.leadTo(replica.url)
}

t.test('to a synchronous replica, under load: nothing is lost, nothing is done twice', options, async (t) => {
  const pair = await startPair(t)
  await pair.primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'replica'")
  await pair.primary.sql('SELECT pg_reload_conf()')
  await until('it is synchronous', async () => {
    const [row] = await pair.primary.sql('SELECT sync_state FROM pg_stat_replication')
    return row?.sync_state === 'sync'
  })
  await breakUnderLoad(t, {
    start: (calls, more) => startEngine(t, calls, { databaseUrl: pair.address.url, prepare: false, ...more }),
    breaks: () => failOver(pair),
  })
})

t.test('to a replica that lacks the last commits: noticed, forgotten, and the history is whole', options, async (t) => {
  stayAlive(t)
  const pair = await startPair(t)
  const { primary, replica, address } = pair
  const gates = [latch(), latch()]
  const reached = [latch(), latch()]
  const performed: string[] = []
  const hold = (index: number) => () => {
    performed.push(`hold ${index}`)
    const isFirst = performed.filter((name) => name === `hold ${index}`).length === 1
    reached[index]!.open()
    return isFirst ? gates[index]!.promise.then(() => 'first') : 'again'
  }
  const calls = { one: hold(0), between: () => performed.push('between'), two: hold(1), last: () => 'end' }
  const reach = { databaseUrl: address.url, prepare: false, leaseMs: 600_000 }
  const owner = await startEngine(t, calls, reach)
  const watcher = await startEngine(t, calls, reach)
  const id = await run(owner, [call('one'), call('between'), call('two'), call('last')])
  await reached[0]!.promise
  const { owner: firstLife } = (await owner.store.findExecution(id))!
  const before = await journalOf(owner, id)
  await until('the replica has what there is', async () => {
    const rows = await replica.sql(`SELECT 1 FROM execution_events WHERE execution_id = '${id}'`).catch(() => [])
    return rows.length === before.length
  })
  // From here on the replica gets nothing.
  await replica.stop('fast')
  const heard = listen(watcher, id)
  gates[0]!.open()
  await reached[1]!.promise
  await seen(watcher, id, 'step.completed', 'between')
  const lost = await journalOf(owner, id)
  t.ok(lost.length > before.length, 'there is something to lose')
  await primary.kill()
  await replica.start()
  await replica.promote()
  const failedOverAt = performance.now()
  address.leadTo(replica.url)

  const end = () => owner.waitForEnd(id, 5_000)
  await until('it has ended', async () => (await patiently(end)).status === 'completed')
  t.comment(`ended ${Math.round(performance.now() - failedOverAt)} ms after the failover, with a lease of 600,000 ms`)
  const journal = await journalOf(owner, id)
  t.notOk(
    journal.some(({ seq }, index) => seq !== index + 1),
    'no hole',
  )
  t.same(journal.slice(0, before.length), before, 'it begins with what the replica had')
  t.match(journal[before.length], { type: 'execution.recovered', data: { from: firstLife } })
  t.same(new Set(journal.map(({ type, path }) => `${type} ${path}`)).size, journal.length, 'nothing is on record twice')
  t.same(performed, ['hold 0', 'between', 'hold 1', 'hold 0', 'between', 'hold 1'], 'what was lost was done again')
  t.match(await watcher.getProgress(id), { status: 'completed', percentage: 100, lastSeq: journal.length })
  await until('the watcher has heard of the end', async () => heard.upTo() === journal.length)
  t.ok(heard.snapshots() > 1, 'who had heard lost events is told where the history is now')
  const facts = ({ seq, type, path, at, data }: JournalEvent) => ({ seq, type, path, at, data })
  t.same(
    heard.sinceSnapshot().map(facts),
    heard.sinceSnapshot().map(({ seq }) => facts(journal[seq - 1]!)),
    'and from there on hears the history that there is',
  )
})

/** What a subscriber knows: its last snapshot, and the events after it. */
function listen(engine: WorkflowEngine, id: string) {
  let snapshots = 0
  let upTo = 0
  let events: JournalEvent[] = []
  const listener: Parameters<WorkflowEngine['subscribe']>[1] = (message) => {
    if (message.type === 'snapshot') {
      snapshots += 1
      upTo = message.seq
      events = []
    }
    if (message.type !== 'event') return
    events.push(message.event)
    upTo = Math.max(upTo, message.seq)
  }
  engine.subscribe(id, listener, { after: 0 })
  return { snapshots: () => snapshots, upTo: () => upTo, sinceSnapshot: () => events }
}
