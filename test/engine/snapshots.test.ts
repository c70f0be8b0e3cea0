import t from 'tap'
import { createTestDatabase } from '../harness/database.ts'
import { call, echo, ended, latch, run, seen, startEngine } from './running-engine.ts'

t.test('an execution with much data leaves snapshots, and goes on from the newest one elsewhere', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const written = latch()
  const first = await startEngine(t, { hold: () => new Promise(() => {}) }, { databaseUrl, drainMs: 0 })
  const { insertSnapshot } = first.store
  first.store.insertSnapshot = (snapshot) => insertSnapshot(snapshot).finally(() => written.open())
  const fill = echo('s', { value: "{{ 'x'.repeat(5000) }}" })
  const loop = { id: 'loop', type: 'while', config: { condition: 'index < 20', steps: [fill], maxIterations: 20 } }
  const id = await run(first, [loop, call('hold'), echo('after', { value: '{{ steps.loop.output.length }}' })])
  await seen(first, id, 'step.completed', 'loop[19].s')
  await written.promise
  const snapshot = await first.store.newestSnapshot(id, Number.MAX_SAFE_INTEGER)
  t.ok(snapshot !== null && snapshot.seq > 1 && snapshot.seq < 43)
  await first.stop()

  const second = await startEngine(t, { hold: () => 'on' }, { databaseUrl })
  t.equal((await ended(second, id)).output, 5_000, 'what is in the snapshot is there')
  const kept = await second.listCheckpoints(id)
  t.ok(kept.every((checkpoint) => checkpoint.index >= 12))
  const { state } = await second.getCheckpoint(id, kept[0]!.index)
  t.match(
    Object.keys(state.steps),
    ['loop', 'loop[11]', 'loop[12]', 'loop[12].s'],
    'a checkpoint shows the complete state',
  )

  const { execution } = await second.rollback(id, { checkpointIndex: kept[0]!.index, resume: true })
  t.ok(['running', 'completed'].includes(execution.status))
  t.equal((await ended(second, id)).output, 5_000, 'a rollback behind a snapshot folds the history that counts')
})

t.test('a state that has only grown is read from its events: it leaves no snapshot', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const first = await startEngine(t, { hold: () => new Promise(() => {}) }, { databaseUrl, drainMs: 0 })
  let written = 0
  first.store.insertSnapshot = async () => void written++
  const fill = Array.from({ length: 40 }, (_, i) => echo(`s${i}`, { value: `${i}`.repeat(5_000) }))
  const id = await run(first, [...fill, call('hold'), echo('after', { value: '{{ steps.s3.output.length }}' })])
  await seen(first, id, 'step.completed', 's39')
  await first.stop()
  t.equal(written, 0)

  const second = await startEngine(t, { hold: () => 'on' }, { databaseUrl })
  t.equal((await ended(second, id)).output, 5_000)
})
