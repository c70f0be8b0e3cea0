/** What nodes share of a circuit changes once, whoever of them asks, and by the database's clock. */
import t, { type Test } from 'tap'
import { v7 } from 'uuid'
import { createCircuits } from '../../src/repository/circuit-breakers.ts'
import { createTestStore } from '../harness/rows.ts'

const error = { type: 'ConnectionError', message: 'refused' }
const hour = 3_600_000

async function openCircuits(t: Test) {
  const { database } = await createTestStore(t)
  return { circuits: createCircuits(database), database }
}

t.test('of nodes that open it one does, and nobody opens it again', async (t) => {
  const { circuits } = await openCircuits(t)
  const opened = await Promise.all(Array.from({ length: 8 }, () => circuits.open('http:a', hour, error)))
  const [circuit, ...more] = opened.filter((one) => one !== null)
  t.equal(more.length, 0)
  t.match(circuit, { key: 'http:a', mode: 'auto', trips: 1, error, probeUntil: null })
  t.equal(circuit!.openUntil! - circuit!.openedAt!, hour)
  t.same(await circuits.guarded(), [circuit])
  t.same(await circuits.find('http:a'), circuit)
  t.equal(await circuits.find('http:b'), null)
})

t.test('nobody probes before its time', async (t) => {
  const { circuits } = await openCircuits(t)
  await circuits.open('http:a', hour, error)
  t.equal(await circuits.claimProbe('http:a', v7(), hour), false)
  t.equal(await circuits.claimProbe('http:b', v7(), hour), false, 'nor what is closed')
})

t.test('of nodes that would probe one does, until its lease has run out', async (t) => {
  const { circuits } = await openCircuits(t)
  await circuits.open('http:a', 0, error)
  const ids = Array.from({ length: 8 }, () => v7())
  const claimed = await Promise.all(ids.map((id) => circuits.claimProbe('http:a', id, hour)))
  t.equal(claimed.filter(Boolean).length, 1)
  const probe = ids[claimed.indexOf(true)]!
  await circuits.renewProbes([probe], 0)
  const heir = v7()
  t.equal(await circuits.claimProbe('http:a', heir, hour), true, 'the node of the first one is gone')
  await circuits.endProbe('http:a', probe, { type: 'answered' })
  t.match(await circuits.find('http:a'), { openedAt: Number }, 'a probe that lost its lease decides nothing')
  await circuits.endProbe('http:a', heir, { type: 'answered' })
  t.match(await circuits.find('http:a'), { openedAt: null, openUntil: null, trips: 0, error: null, probeUntil: null })
  t.same(await circuits.guarded(), [])
})

t.test(
  'a probe that fails keeps it open for longer each time, and one that tells nothing leaves it to the next',
  async (t) => {
    const { circuits, database } = await openCircuits(t)
    await circuits.open('http:a', 1_000, error)
    const later = { type: 'TimeoutError', message: 'silent' }
    const openFor: number[] = []
    for (let round = 0; round < 10; round++) {
      await database.pool.query('UPDATE circuit_breakers SET open_until = 0')
      const probe = v7()
      t.equal(await circuits.claimProbe('http:a', probe, hour), true)
      await circuits.endProbe('http:a', probe, { type: 'failed', error: later })
      const circuit = (await circuits.find('http:a'))!
      t.match(circuit, { trips: round + 2, error: later, probeUntil: null })
      openFor.push(circuit.openUntil! - circuit.updatedAt)
    }
    // Each of the two times is read from the clock by itself.
    t.same(
      openFor.map((ms) => Math.round(ms / 1_000)),
      [2, 4, 8, 16, 32, 64, 128, 256, 300, 300],
    )
    await database.pool.query('UPDATE circuit_breakers SET open_until = 0')
    const probe = v7()
    await circuits.claimProbe('http:a', probe, hour)
    await circuits.endProbe('http:a', probe, { type: 'unknown' })
    t.equal(await circuits.claimProbe('http:a', v7(), hour), true)
  },
)

t.test('an operator goes before everything, and auto begins anew', async (t) => {
  const { circuits } = await openCircuits(t)
  t.match(await circuits.setMode('http:a', 'open', 'maintenance'), { mode: 'open', reason: 'maintenance' })
  t.equal(await circuits.open('http:a', hour, error), null)
  t.match(await circuits.setMode('http:a', 'closed', null), { mode: 'closed', reason: null })
  t.equal(await circuits.open('http:a', hour, error), null)
  t.equal((await circuits.guarded()).length, 1)
  await circuits.setMode('http:a', 'auto', null)
  t.same(await circuits.guarded(), [])
  t.match(await circuits.open('http:a', 0, error), { trips: 1 })
  const probe = v7()
  await circuits.claimProbe('http:a', probe, hour)
  await circuits.setMode('http:a', 'open', null)
  await circuits.endProbe('http:a', probe, { type: 'answered' })
  t.match(await circuits.find('http:a'), { mode: 'open' }, 'a probe that was under way changes nothing of it')
  t.equal(await circuits.claimProbe('http:a', v7(), hour), false)
  t.match(await circuits.setMode('http:a', 'auto', null), { mode: 'auto', openedAt: null })
})

t.test('targets are listed by key from when they are called, and forgotten when they are not', async (t) => {
  const { circuits } = await openCircuits(t)
  await circuits.noteTargets(['http:c', 'http:a', 'agent:b'])
  await circuits.noteTargets(['http:a'])
  await circuits.open('http:open', hour, error)
  await circuits.setMode('http:held', 'closed', null)
  const keys = async (limit: number, after: string | null) => (await circuits.list(limit, after)).map(({ key }) => key)
  t.same(await keys(10, null), ['agent:b', 'http:a', 'http:c', 'http:held', 'http:open'])
  t.same(await keys(2, 'agent:b'), ['http:a', 'http:c'])
  await circuits.forget(hour)
  t.equal((await keys(10, null)).length, 5)
  await circuits.forget(-hour)
  t.same(await keys(10, null), ['http:held', 'http:open'])
})
