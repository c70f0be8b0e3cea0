import t from 'tap'
import { createTestDatabase } from '../harness/database.ts'
import { call, echo, ended, latch, run, seen, startEngine } from './running-engine.ts'

t.test('an execution with much data leaves snapshots, and goes on from the newest one elsewhere', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const written = latch()
  const first = await startEngine(t, { hold: () => new Promise(() => {}) }, { databaseUrl, drainMs: 0 })
  const { insertSnapshot } = first.store
  first.store.insertSnapshot = (snapshot) => insertSnapshot(snapshot).finally(() => written.open())
  const fill = Array.from({ length: 20 }, (_, i) => echo(`s${i}`, { value: `${i}`.repeat(5_000) }))
  const id = await run(first, [...fill, call('hold'), echo('after', { value: '{{ steps.s3.output.length }}' })])
  await seen(first, id, 'step.completed', 's19')
  await written.promise
  const snapshot = await first.store.newestSnapshot(id, Number.MAX_SAFE_INTEGER)
  t.ok(snapshot !== null && snapshot.seq > 1 && snapshot.seq < 22)
  await first.stop()

  const second = await startEngine(t, { hold: () => 'on' }, { databaseUrl })
  t.equal((await ended(second, id)).output, 5_000, 'what is in the snapshot is there')
  const kept = await second.listCheckpoints(id)
  t.ok(kept.every((checkpoint) => checkpoint.index >= 12))
  const { state } = await second.getCheckpoint(id, kept[0]!.index)
  t.equal(Object.keys(state.steps).length >= 13, true, 'a checkpoint shows the complete state')

  const { execution } = await second.rollback(id, { checkpointIndex: kept[0]!.index, resume: true })
  t.ok(['running', 'completed'].includes(execution.status))
  t.equal((await ended(second, id)).output, 5_000, 'a rollback behind a snapshot folds the history that counts')
})
