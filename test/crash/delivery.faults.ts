/** How often a step is performed, by its delivery: when its node is killed, under a retry policy, and at an operator's retry. */
import t, { type Test } from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { journalOf } from '../engine/running-engine.ts'
import type { Ledger } from './ledger.ts'
import { step } from './scenario.ts'
import { agreed, deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

// Each mostly waits for a process to start.
t.jobs = 2
t.setTimeout(300_000)
const parallel = { buffered: true }

const definitionOf = (charge: object, config: object = {}) => ({
  name: 'order',
  steps: [step('look'), step('charge', config, charge), step('ship', { value: 'shipped' })],
})

/** The attempts of the step `charge` that the world heard of. */
const charges = ({ entries }: Ledger): number[] =>
  entries.filter(({ path }) => path === 'charge').map(({ attempt }) => attempt)

const keysOf = ({ entries }: Ledger): Set<string> =>
  new Set(entries.filter(({ path }) => path === 'charge').map(({ key }) => key))

const typesOf = (history: readonly JournalEvent[], path: string): string[] =>
  history.filter((event) => event.path === path).map(({ type }) => type)

/** An order whose node is killed at the point, as another node finds and ends it. */
async function killed(t: Test, at: Parameters<typeof dies>[2]['DIE_AT'], charge: object, config: object = {}) {
  const scene = await prepare(t, definitionOf(charge, config))
  await dies(t, scene, { DIE_AT: at, UNDRIVEN: 'yes' })
  const before = charges(scene.ledger)
  await deadAreSwept(scene)
  return { scene, before, ...(await endsElsewhere(t, scene)) }
}

/** An operator's retry of what has failed. */
async function retried(t: Test, { scene, survivor }: Pick<Awaited<ReturnType<typeof killed>>, 'scene' | 'survivor'>) {
  await survivor.retryExecution(scene.executionId)
  await survivor.waitForEnd(scene.executionId, 120_000)
  return agreed(t, scene, survivor, await journalOf(survivor, scene.executionId))
}

t.test('at_least_once, killed between effect and record: performed again under the same key', parallel, async (t) => {
  const { scene, before, execution, history } = await killed(t, 'after perform charge', {})
  t.match(execution, { status: 'completed', output: 'shipped' })
  t.same(before, [1])
  t.same(charges(scene.ledger), [1, 1], 'the same attempt')
  t.equal(keysOf(scene.ledger).size, 1)
  t.same(typesOf(history, 'charge'), ['step.completed'])
})

t.test(
  'at_least_once under a retry policy, killed at its second attempt: that one is repeated',
  parallel,
  async (t) => {
    const retryPolicy = { maxAttempts: 3, initialIntervalMs: 50, jitter: 0 }
    const scene = await prepare(t, definitionOf({ retryPolicy }, { failures: 2 }))
    await dies(t, scene, { DIE_AT: 'after flush step.failed', UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    await dies(t, scene, { DIE_AT: 'after perform charge', UNDRIVEN: 'yes' })
    t.same(charges(scene.ledger), [1, 2])
    await deadAreSwept(scene)
    const { execution, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'completed' })
    t.same(charges(scene.ledger), [1, 2, 2], 'what was on record is not repeated, and what was not on record is')
    t.equal(keysOf(scene.ledger).size, 1)
    t.same(typesOf(history, 'charge'), ['step.failed', 'timer.fired', 'step.completed'])
  },
)

t.test('at_least_once, failed: an operator’s retry begins at attempt 1, under the same key', parallel, async (t) => {
  const scene = await prepare(t, definitionOf({}, { failures: 1 }))
  const { survivor, execution } = await endsElsewhere(t, scene)
  t.match(execution, { status: 'failed', error: { type: 'ConnectionError', stepPath: 'charge', attempt: 1 } })
  t.match(await retried(t, { scene, survivor }), { status: 'completed', output: 'shipped' })
  t.same(charges(scene.ledger), [1, 1])
  t.equal(keysOf(scene.ledger).size, 1)
  t.equal(scene.ledger.entries.filter(({ path }) => path === 'look').length, 1, 'what was completed stays')
})

const once = { delivery: 'at_most_once' }

t.test(
  'at_most_once, killed between effect and record: the step fails, and only an order repeats it',
  parallel,
  async (t) => {
    const { scene, survivor, execution, history } = await killed(t, 'after perform charge', once)
    t.match(execution, { status: 'failed', error: { type: 'StepInterrupted', stepPath: 'charge', attempt: 1 } })
    t.same(charges(scene.ledger), [1])
    t.same(typesOf(history, 'charge'), ['step.started', 'step.failed'])
    t.notOk(
      scene.ledger.entries.some(({ path }) => path === 'ship'),
      'nothing goes on from there',
    )

    t.match(await retried(t, { scene, survivor }), { status: 'completed', output: 'shipped' })
    t.same(charges(scene.ledger), [1, 1], 'an operator’s retry is an order to perform it again')
    t.equal(keysOf(scene.ledger).size, 1, 'under the same key, for a service that knows it already')
  },
)

t.test('at_most_once, killed with its start on record: not performed, since nobody can know', parallel, async (t) => {
  const { scene, execution } = await killed(t, 'after flush step.started', once)
  t.match(execution, { status: 'failed', error: { type: 'StepInterrupted', stepPath: 'charge' } })
  t.same(charges(scene.ledger), [])
})

t.test('at_most_once, killed before its start is on record: performed, once', parallel, async (t) => {
  const { scene, before, execution } = await killed(t, 'before flush step.started', once)
  t.match(execution, { status: 'completed', output: 'shipped' })
  t.same(before, [])
  t.same(charges(scene.ledger), [1])
})

t.test('at_most_once, killed with its end on record: not performed again', parallel, async (t) => {
  // Of `ship`: the flush before it, with the end of `charge`, is committed.
  const { scene, before, execution } = await killed(t, 'before perform ship', once)
  t.match(execution, { status: 'completed', output: 'shipped' })
  t.same(before, [1])
  t.same(charges(scene.ledger), [1])
})

t.test('at_most_once that fails is over, and an operator’s retry performs it once more', parallel, async (t) => {
  const scene = await prepare(t, definitionOf(once, { failures: 1 }))
  const { survivor, execution, history } = await endsElsewhere(t, scene)
  t.match(execution, { status: 'failed', error: { type: 'ConnectionError', stepPath: 'charge', attempt: 1 } })
  t.same(typesOf(history, 'charge'), ['step.started', 'step.failed'])
  t.same(charges(scene.ledger), [1])
  t.match(await retried(t, { scene, survivor }), { status: 'completed', output: 'shipped' })
  t.same(charges(scene.ledger), [1, 1])
})
