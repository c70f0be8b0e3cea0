import t, { type Test } from 'tap'
import { SystemClock } from '../../src/engine/clock.ts'
import { type AppendSink, Journal } from '../../src/engine/journal.ts'
import type { NodeLife } from '../../src/engine/node-life.ts'
import { Settling } from '../../src/engine/settling.ts'
import type { LaneConnection } from '../../src/repository/connection.ts'
import { Lane } from '../../src/repository/lane.ts'
import { createUpkeep } from '../../src/repository/upkeep.ts'
import { createTestStore, executionRow, registerTestNode, startOf } from '../harness/rows.ts'
import { latch } from './running-engine.ts'

/** A journal on one real lane, whose statements can be held back. */
async function openJournal(t: Test) {
  const { store, database } = await createTestStore(t)
  const node = await registerTestNode(store)
  let held = latch()
  held.open()
  let fenced = 0
  const connect = async (): Promise<LaneConnection> => {
    const { client, server } = await database.connectLane(60_000)
    const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>
    const whenOpen = (...given: unknown[]) => held.promise.then(() => query(...given))
    return { client: Object.assign(client, { query: whenOpen }), server }
  }
  const lane = new Lane({ connect, node, lane: 0, prepare: true })
  t.teardown(() => lane.close())
  const journal = new Journal({
    lanes: [lane],
    clock: new SystemClock(),
    onFenced: () => (fenced += 1),
    onFlush: () => {},
    onSinkError: (_, error) => t.fail(error.message),
    onRetry: ({ error }) => t.fail(error.message),
  })
  const append = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const sink: AppendSink = { committed: () => resolve(), rejected: (_, error) => reject(error), abandoned: reject }
      journal.append(startOf(executionRow({ owner: node })), sink)
    })
  const upkeep = createUpkeep(database)
  const settling = new Settling(upkeep)
  const life = { node, journal } as NodeLife
  const round = () => settling.round(life)
  const hold = () => {
    held = latch()
    return () => held.open()
  }
  return { database, upkeep, journal, append, round, hold, fenced: () => fenced }
}

t.test('an idle lane lets go of its last event, and the node says so', async (t) => {
  const { database, upkeep, append, round, fenced } = await openJournal(t)
  await append()
  const rounds = []
  for (let i = 0; i < 5; i++) rounds.push(await round())
  t.ok(Math.abs((await upkeep.settledHorizon()) - rounds[2]!) < 1, 'the last round but one')
  await database.pool.query('DELETE FROM execution_events')
  await append()
  t.equal(fenced(), 0)
})

t.test('a lane that is at work leans on nothing old, and needs no mark', async (t) => {
  const { database, upkeep, append, round } = await openJournal(t)
  const rounds = []
  for (let i = 0; i < 5; i++) {
    await append()
    rounds.push(await round())
  }
  t.ok(Math.abs((await upkeep.settledHorizon()) - rounds[2]!) < 1)
  t.same((await database.pool.query('SELECT mark FROM node_lanes')).rows, [{ mark: 0 }])
})

t.test('nothing is settled while a flush has no answer', async (t) => {
  const { upkeep, append, round, hold } = await openJournal(t)
  const registered = await upkeep.settledHorizon()
  await round()
  const release = hold()
  const written = append()
  const sentIn = await round()
  for (let i = 0; i < 4; i++) await round()
  const horizon = await upkeep.settledHorizon()
  t.ok(horizon >= registered && horizon < sentIn, 'what was sent before the horizon is answered')
  release()
  await written
  for (let i = 0; i < 4; i++) await round()
  t.ok((await upkeep.settledHorizon()) > sentIn)
})

t.test('what is appended while a mark is set is written after it', async (t) => {
  const { journal, append, hold, fenced } = await openJournal(t)
  await append()
  await journal.settle()
  const release = hold()
  const settled = journal.settle()
  const written = append()
  release()
  t.equal(await settled, true)
  await written
  t.equal(fenced(), 0)
})
