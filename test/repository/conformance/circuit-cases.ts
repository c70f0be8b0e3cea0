import { v7 } from 'uuid'
import { until } from '../../harness/condition.ts'
import { type Cases, hour } from './cases.ts'

const error = { type: 'ConnectionError', message: 'refused' }
const later = { type: 'TimeoutError', message: 'silent' }
const closed = { openedAt: null, openUntil: null, openMs: null, trips: 0, error: null, probeUntil: null }

export const circuitCases: Cases = {
  'of nodes that open a circuit one does, and what is open already stays as it is': async (t, { circuits }) => {
    const opened = await Promise.all([1, 2, 3].map(() => circuits.open('http:a', hour, error)))
    const [circuit, ...more] = opened.filter((one) => one !== null)
    t.equal(more.length, 0)
    t.match(circuit, { key: 'http:a', mode: 'auto', reason: null, trips: 1, error, openMs: hour, probeUntil: null })
    t.equal(circuit!.openUntil! - circuit!.openedAt!, hour)
    t.same(await circuits.guarded(), [circuit])
    t.same(await circuits.find('http:a'), circuit)
    t.equal(await circuits.find('http:b'), null)
    t.equal(await circuits.claimProbe('http:a', v7(), hour), false, 'before its time')
    t.equal(await circuits.claimProbe('http:b', v7(), hour), false, 'what is closed')
  },

  'of nodes that would probe one does, until its lease has run out': async (t, { circuits }) => {
    await circuits.open('http:a', 0, error)
    const ids = [v7(), v7(), v7()]
    const claimed = await Promise.all(ids.map((id) => circuits.claimProbe('http:a', id, hour)))
    t.equal(claimed.filter(Boolean).length, 1)
    const probe = ids[claimed.indexOf(true)]!
    await circuits.renewProbes([probe], 0)
    const heir = v7()
    t.equal(await circuits.claimProbe('http:a', heir, hour), true)
    await circuits.renewProbes([probe], -hour)
    t.equal(await circuits.claimProbe('http:a', v7(), hour), false, 'who has lost it renews nothing')
    await circuits.endProbe('http:a', probe, { type: 'answered' })
    t.match(await circuits.find('http:a'), { openedAt: Number }, 'and decides nothing')
    await circuits.endProbe('http:a', heir, { type: 'answered' })
    t.match(await circuits.find('http:a'), closed)
    t.same(await circuits.guarded(), [])
  },

  'a probe that fails opens it for longer, one that tells nothing leaves it to the next': async (t, { circuits }) => {
    await circuits.open('http:a', 0, error)
    const [first, second] = [v7(), v7()]
    await circuits.claimProbe('http:a', first, hour)
    await circuits.endProbe('http:a', first, { type: 'unknown' })
    t.equal(await circuits.claimProbe('http:a', second, hour), true)
    await circuits.endProbe('http:a', second, { type: 'failed', error: later })
    t.match(await circuits.find('http:a'), { trips: 2, error: later, probeUntil: null, openMs: 0 })

    await circuits.open('http:b', hour, error)
    const probe = v7()
    await circuits.setMode('http:b', 'auto', null)
    await circuits.open('http:b', 1, error)
    await until('its time has come', () => circuits.claimProbe('http:b', probe, hour))
    await circuits.endProbe('http:b', probe, { type: 'failed', error: later })
    const { openUntil, updatedAt } = (await circuits.find('http:b'))!
    t.equal(Math.round((openUntil! - updatedAt) / 1_000), 0, 'twice as long as before')
  },

  'an operator goes before everything, and auto begins anew': async (t, { circuits }) => {
    t.match(await circuits.setMode('http:a', 'open', 'maintenance'), { mode: 'open', reason: 'maintenance', ...closed })
    t.equal((await circuits.guarded()).length, 1)
    t.equal(await circuits.open('http:a', hour, error), null)
    t.equal(await circuits.claimProbe('http:a', v7(), hour), false)
    t.match(await circuits.setMode('http:a', 'auto', null), { mode: 'auto', reason: null })
    t.not(await circuits.open('http:a', hour, error), null)
    t.match(await circuits.setMode('http:a', 'closed', null), { mode: 'closed', ...closed })
  },

  'targets are noted once, listed by key, and forgotten when nobody calls them any more': async (t, { circuits }) => {
    await circuits.noteTargets(['http:b', 'http:a'])
    await circuits.noteTargets(['http:a'])
    await circuits.open('http:c', hour, error)
    const listed = await circuits.list(10, null)
    t.same(
      listed.map(({ key }) => key),
      ['http:a', 'http:b', 'http:c'],
    )
    t.match(listed[0], { mode: 'auto', ...closed, updatedAt: Number })
    t.ok(listed[0]!.updatedAt > 0)
    t.same(await circuits.list(1, 'http:a'), [listed[1]])
    await circuits.forget(hour)
    t.equal((await circuits.list(10, null)).length, 3)
    await circuits.forget(-hour)
    t.same(
      (await circuits.list(10, null)).map(({ key }) => key),
      ['http:c'],
      'not what is open',
    )
  },
}
