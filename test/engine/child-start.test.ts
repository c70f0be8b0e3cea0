/** What keeps a child from being started. */
import t from 'tap'
import { childStart } from '../../src/engine/child-start.ts'
import { DEEPEST, MOST_CHILDREN } from '../../src/engine/core/children.ts'
import type { Parent } from '../../src/engine/core/event.ts'
import type { Child } from '../../src/engine/core/state.ts'
import type { Seeker } from '../../src/engine/look-up.ts'
import { executionRow } from '../harness/rows.ts'
import { a, Driver, of, planOf } from './core/driver.ts'

/** What a step comes to whose execution has so many live children, or stands so deep. */
async function answer({ children = 0, depth = 0 }: { children?: number; depth?: number }) {
  const d = new Driver([of('sub_workflow', 's', { workflow: 'billing' })]).start()
  const child: Child = { path: 'before', isAwaited: false, policy: 'abandon' }
  d.state.children = Object.fromEntries(Array.from({ length: children }, (_, index) => [`child ${index}`, child]))
  if (depth > 0) d.state.parent = { executionId: 'p', path: 's', depth, isAwaited: true } satisfies Parent
  const found = { workflowId: 'w', version: 1, plan: planOf([a('x')]) }
  const services = {
    plans: { forStartNamed: async () => found },
    clock: { now: () => 1_000, newId: () => 'new' },
    limits: { maxPayloadBytes: 1_000 },
  }
  const seeker = { row: executionRow({}), plan: d.plan, services, state: () => d.state } as unknown as Seeker
  const plan = d.plan.steps.get('s')!
  if (plan.type !== 'sub_workflow') throw new Error(plan.type)
  return (await childStart(seeker, plan, d.state.steps.get('s')!))().fact
}

t.test('an execution has at most 1,000 live children', async (t) => {
  t.match(await answer({ children: MOST_CHILDREN - 1 }), { type: 'child.started', data: { executionId: 'new' } })
  t.match(await answer({ children: MOST_CHILDREN }), {
    type: 'step.failed',
    data: { error: { type: 'TooManyChildren' } },
  })
})

t.test('sub-workflows nest at most 16 deep', async (t) => {
  t.match(await answer({ depth: DEEPEST - 1 }), { type: 'child.started' })
  t.match(await answer({ depth: DEEPEST }), {
    type: 'step.failed',
    data: { error: { type: 'SubWorkflowDepthExceeded' } },
  })
})
