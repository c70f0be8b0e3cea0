import t from 'tap'
import { compile, type Refused } from '../../src/definition/compile.ts'
import { SystemClock } from '../../src/engine/clock.ts'
import { Plans, type PlansOptions } from '../../src/engine/plans.ts'

const definition = {
  name: 'Two steps',
  steps: [
    { id: 'a', name: 'A', type: 'action', config: { type: 'echo' } },
    { id: 'b', name: 'B', type: 'action', config: { type: 'echo' } },
  ],
}
const echo = { type: 'echo', configSchema: { type: 'object' }, secretFields: [], literalFields: [] }

function plansOf(options: { definition?: unknown; max?: number } = {}): { plans: Plans; asked: string[] } {
  const asked: string[] = []
  const store = {
    findVersion: async (workflowId: string, version: number) => {
      asked.push(`${workflowId}/${version}`)
      if (version === 0) return null
      return { workflowId, version, status: 'active', definition: options.definition ?? definition, createdAt: 0 }
    },
  } as unknown as PlansOptions['store']
  const { max } = options
  return {
    plans: new Plans({
      store,
      clock: new SystemClock(),
      actions: new Map([['echo', echo]]),
      ...(max !== undefined && { max }),
    }),
    asked,
  }
}

t.test('a version is compiled once, however many ask for it', async (t) => {
  const { plans, asked } = plansOf()
  t.equal(plans.peek('w', 1), undefined)
  const all = await Promise.all([plans.get('w', 1), plans.get('w', 1), plans.get('w', 1)])
  t.equal(new Set(all).size, 1)
  t.equal(plans.peek('w', 1), all[0])
  t.equal(await plans.get('w', 1), all[0])
  t.equal(all[0]!.leafCount, 2)
  t.not(await plans.get('w', 2), all[0])
  t.same(asked, ['w/1', 'w/2'])
})

t.test('the least recently used plans go first', async (t) => {
  const { plans } = plansOf({ max: 2 })
  for (const version of [1, 2]) await plans.get('w', version)
  plans.peek('w', 1)
  await plans.get('w', 3)
  t.ok(plans.peek('w', 1))
  t.notOk(plans.peek('w', 2))
})

t.test(
  'a version that does not exist, or that this release cannot compile, is an error and is asked for again',
  async (t) => {
    const { plans, asked } = plansOf({
      definition: { name: 'Bad', steps: [{ ...definition.steps[0], config: { type: 'unknown' } }] },
    })
    await t.rejects(plans.get('w', 0), { code: 'VERSION_NOT_FOUND' })
    await t.rejects(plans.get('w', 1), { code: 'DEFINITION_INVALID' })
    await t.rejects(plans.get('w', 1), { code: 'DEFINITION_INVALID' })
    t.same(asked, ['w/0', 'w/1', 'w/1'])
  },
)

t.test('what an earlier release has stored goes on, though this one would not take it any more', async (t) => {
  const half = '\ud800'
  const ask = { title: 'x'.repeat(1_001), description: half, assignees: ['y'.repeat(201), half] }
  const taken = {
    name: half,
    tags: [half],
    steps: [
      { id: 'call', name: 'Call', type: 'action', config: { type: 'call', url: 'nowhere' } },
      { id: 'ask', name: 'Ask', type: 'approval', config: ask },
      { id: 'hear', name: 'Hear', type: 'wait_for_signal', config: { signal: half } },
    ],
  }
  const call = { ...echo, type: 'call', conflicts: () => [{ pointer: '/url', message: 'is not an absolute URL' }] }
  const actions = new Map([['call', call]])
  const refused = compile(taken, actions) as Refused
  t.strictSame(
    refused.faults.map(({ pointer }) => pointer),
    [
      '/name',
      '/tags/0',
      '/steps/0/config/url',
      ...['title', 'description', 'assignees/0', 'assignees/1'].map((field) => `/steps/1/config/${field}`),
      '/steps/2/config/signal',
    ],
  )
  const findVersion = async () => ({ definition: taken })
  const plans = new Plans({
    store: { findVersion } as unknown as PlansOptions['store'],
    clock: new SystemClock(),
    actions,
  })
  t.equal((await plans.get('w', 1)).leafCount, 3)
})

t.test(
  'starts that come at once read their workflow once; one that was read before a change is not kept',
  async (t) => {
    const answers: ((workflow: object | null) => void)[] = []
    const store = {
      findWorkflow: () => new Promise((resolve) => void answers.push(resolve)),
      findVersion: async (workflowId: string, version: number) => ({
        workflowId,
        version,
        status: 'active',
        definition,
      }),
    } as unknown as PlansOptions['store']
    const plans = new Plans({ store, clock: new SystemClock(), actions: new Map([['echo', echo]]) })
    const active = (version: number) => ({ id: 'w', status: 'active', version })

    const before = [plans.forStart('w', undefined), plans.forStart('w', undefined)]
    t.equal(answers.length, 1)
    plans.forget('w')
    const after = [plans.forStart('w', undefined), plans.forStart('w', undefined)]
    t.equal(answers.length, 2, 'who comes after the change asks anew')
    answers[1]!(active(2))
    t.match(await Promise.all(after), [{ version: 2 }, { version: 2 }])
    answers[0]!(active(1))
    t.match(await Promise.all(before), [{ version: 1 }, { version: 1 }])
    t.match(await plans.forStart('w', undefined), { version: 2 }, 'and what it heard is kept')
    t.equal(answers.length, 2)

    const gone = plans.forStart('nowhere', undefined)
    answers[2]!(null)
    await t.rejects(gone, { code: 'WORKFLOW_NOT_FOUND' })
    const again = plans.forStart('nowhere', undefined)
    t.equal(answers.length, 4, 'an error is not kept')
    answers[3]!(active(1))
    t.match(await again, { version: 1 })
  },
)
