/** A parent and its child die together, wherever they stand: there is one child, its end is taken once, and both agree with the world. */
import t from 'tap'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { journalOf } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import type { Point } from './points.ts'
import { step } from './scenario.ts'
import { agreed, deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(900_000)
const parallel = { buffered: true }

const errand = { name: 'errand', steps: [step('fetch', { value: 'fetched' })] }
const definition = {
  name: 'sends somebody',
  steps: [
    step('one'),
    { id: 'child', type: 'sub_workflow', config: { workflow: 'errand' } },
    step('after', { value: '{{ data }}' }),
  ],
}

/** The points of one life come in this order: what may be committed `during` a flush does not come again. */
const lives: Record<string, readonly Point[]> = {
  'while the child is started': [
    'before flush child.started',
    'during flush child.started',
    'before perform fetch',
    'after read inbox',
    'during flush inbox',
  ],
  'between the start of the child and its answer, and around the child’s end': [
    'after flush child.started',
    'after perform fetch',
    'before flush execution.completed',
    'during flush execution.completed',
    'before flush inbox',
  ],
  'between the child’s end and its parent’s': [
    'after flush execution.completed',
    'after read inbox',
    'after flush inbox',
    'after perform after',
  ],
}

for (const [when, points] of Object.entries(lives)) {
  t.test(`killed ${points.length} times ${when}`, parallel, async (t) => {
    const scene = await prepare(t, definition, [errand])
    for (const point of points) {
      await dies(t, scene, { DIE_AT: point, UNDRIVEN: 'yes' })
      await deadAreSwept(scene)
    }
    const { survivor, execution, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'completed', output: 'fetched' })
    const children = await scene.sql(`SELECT id FROM workflow_executions WHERE parent_execution_id = '${execution.id}'`)
    t.equal(children.length, 1, 'one child')
    const [{ id: executionId }] = children as [{ id: string }]
    const started = history.filter(({ type }) => type === 'child.started')
    t.match(started, [{ data: { executionId } }])
    t.equal(started.length, 1)
    const ends = history.filter(({ type, path }) => type === 'step.completed' && path === 'child')
    t.equal(ends.length, 1, 'its end is taken once')
    const child = { ...scene, executionId, definition: errand }
    const journal = await journalOf(survivor, executionId)
    t.match(await agreed(t, child, survivor, journal), {
      status: 'completed',
      owner: null,
    } satisfies Partial<ExecutionRow>)
  })
}

t.test(
  'a parent of too many children fails by name, and those that it has end with it, whenever it is killed',
  parallel,
  async (t) => {
    const waits = { name: 'waits', steps: [{ id: 'w', type: 'wait_for_signal', config: { signal: 'never' } }] }
    const child = {
      id: 'child',
      type: 'sub_workflow',
      config: { workflow: 'waits', mode: 'fire_and_forget', parentClosePolicy: 'cancel' },
    }
    const items = Array.from({ length: 1_001 }, (_, index) => index)
    const scene = await prepare(
      t,
      {
        name: 'starts a thousand',
        steps: [{ id: 'each', type: 'foreach', config: { items, concurrency: 50, steps: [child] } }],
      },
      [waits],
    )
    // In the midst of them, then with the failure and the cancels on their way, then before any child has heard of it.
    await dies(t, scene, { DIE_AT: 'during flush child.started', UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    await dies(t, scene, { DIE_AT: 'during flush execution.failed', UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    await dies(t, scene, { DIE_AT: 'after read inbox', UNDRIVEN: 'yes' })
    await deadAreSwept(scene)
    const { execution, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'failed', error: { type: 'TooManyChildren', stepPath: /^each\[\d+\]\.child$/ } })
    t.equal(history.filter(({ type }) => type === 'child.started').length, 1_000)
    const children = `FROM workflow_executions WHERE parent_execution_id = '${execution.id}'`
    t.same(await scene.sql(`SELECT count(*)::integer AS count ${children}`), [{ count: 1_000 }])
    await until('all are cancelled', async () => {
      const [{ count }] = (await scene.sql(
        `SELECT count(*)::integer AS count ${children} AND status = 'cancelled'`,
      )) as [{ count: number }]
      return count === 1_000
    })
  },
)
