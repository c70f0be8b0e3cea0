/** What each type of step refuses when its definition is posted, and where. */
import t from 'tap'
import type { Json, JsonObject } from '../../src/definition/json.ts'
import { echo, faultsOf, planOf, reading, workflow } from './definitions.ts'

const step = (type: string, config: JsonObject, rest: JsonObject = {}): JsonObject => ({
  id: 's',
  type,
  config,
  ...rest,
})
/** `pointer: message` of every fault. */
const faults = (...steps: JsonObject[]): string[] =>
  faultsOf(workflow(steps)).map(({ pointer, message }) => `${pointer}: ${message}`)
const at = '/steps/0/config'

t.test('good steps of every type have no faults', async (t) => {
  const good: JsonObject[] = [
    step('switch', { cases: [{ name: 'a', when: 'true', steps: [echo('x')] }], default: [], mode: 'all' }),
    step('while', { condition: 'data > index', steps: [reading('x', 'index')], maxIterations: 3 }),
    step('until', { condition: 'data > index', steps: [echo('x')], maxIterations: 3 }),
    step('foreach', { items: '{{ data.rows }}', as: 'row', steps: [reading('x', 'row.id + index')], tolerate: '5%' }),
    step('foreach', { items: [1, '{{ data }}'], steps: [reading('x', 'item')] }),
    step('foreach', { page: [reading('p', 'cursor')], steps: [reading('x', 'item')], tolerate: 3 }),
    step('foreach', { items: [], grow: { signal: 'more', end: 'enough' }, steps: [reading('x', 'item')] }),
    step('try', { steps: [echo('x')], catch: [{ when: 'error.type == "A"', steps: [reading('y', 'error.message')] }] }),
    step('set', { variables: { n: '{{ 1 + 1 }}' } }),
    step('fail', { error: 'Broken', message: 'since {{ data }}', details: { a: 1 } }),
    step('complete', { output: '{{ data }}' }),
    step('wait', { durationMs: 5 }),
    step('wait', { until: '{{ data.at }}' }),
    step('wait_for_signal', {
      signal: 'go',
      correlation: 'signal.payload.id == input.id',
      timeoutMs: 5,
      onTimeout: 'continue',
      transient: true,
    }),
    step('approval', { title: 'Really?' }),
    step('approval', {
      title: 'Refund {{ input.amount }}?',
      description: '{{ data }}',
      assignees: ['ada', '{{ input.who }}'],
      groups: '{{ input.groups }}',
      form: { type: 'object', properties: { amount: { type: 'number' } } },
      deadline: { until: '{{ input.at }}' },
      onDeadline: { outcome: 'wait', steps: [reading('x', 'approval.id')] },
      onReject: 'fail',
    }),
    step('parallel', { steps: [echo('x'), echo('y')], join: 2, onFailure: 'continue' }),
    step('parallel', {
      steps: [echo('x'), echo('y')],
      join: { when: 'data.x > 1 || arrived.failed > 0' },
      rest: 'continue',
    }),
    step('foreach', { items: [1, 2], steps: [echo('x')], join: 2, rest: 'continue' }),
    step('foreach', { items: [], grow: { signal: 'more' }, steps: [echo('x')], join: { when: 'arrived.total > 5' } }),
    step(
      'sub_workflow',
      { workflow: 'billing', version: 2, input: { id: '{{ data.id }}' }, parentClosePolicy: 'abandon' },
      { timeoutMs: 5 },
    ),
    step('sub_workflow', { workflow: 'billing', mode: 'fire_and_forget', parentClosePolicy: 'wait' }),
    step('emit', { signal: '{{ data.name }}', to: { executionId: ['{{ data.id }}'] }, payload: { n: '{{ data.n }}' } }),
    step('critical_section', { mutex: 'account-{{ input.id }}', steps: [echo('x')] }, { output: '{{ data }}' }),
    step('emit', { signal: 'go', to: { workflow: 'order', executionKey: '{{ input.id }}' }, onNobody: 'fail' }),
    step('race', { branches: [{ name: 'a', steps: [echo('x')] }, { steps: [echo('y')] }], decidedBy: 'all_steps' }),
  ]
  for (const one of good) t.strictSame(faults(one), [], JSON.stringify(one))
})

t.test('what concurrency refuses, and where', async (t) => {
  const keyed = (id: string, concurrency: JsonObject): JsonObject => ({ ...echo(id), concurrency })
  const section = (concurrency: JsonObject, ...steps: JsonObject[]): JsonObject =>
    step('sequential', { steps }, { concurrency })
  const whole: JsonObject[] = [
    {},
    { key: '{{ data.id }}', limit: '{{ data.most }}' },
    { limit: 10, onLimit: 'cancel_running', waitTimeoutMs: 1_000 },
  ]
  for (const good of whole) t.strictSame(faults(section(good, keyed('x', good))), [], JSON.stringify(good))
  const [limit, ...rest] = faults(keyed('x', { limit: 0 }))
  t.match(limit, /^\/steps\/0\/concurrency\/limit: /)
  t.strictSame(rest, [])
  t.match(faults(keyed('x', { onLimit: 'wait' })), [/^\/steps\/0\/concurrency\/onLimit: /])
  t.match(faults(keyed('x', { key: '{{ 1 + }}' })), [/^\/steps\/0\/concurrency\/key: /])
  t.match(faults(keyed('x', { key: '{{ steps.y.output }}' })), [/^\/steps\/0\/concurrency\/key: .*"y"/])
  t.match(faults(keyed('x', { waitTimeoutMs: 0 }))[0], /^\/steps\/0\/concurrency\/waitTimeoutMs: /)
  for (const onLimit of ['reject', 'cancel_new'])
    t.match(faults(keyed('x', { onLimit, waitTimeoutMs: 5 })), [
      /^\/steps\/0\/concurrency\/waitTimeoutMs: .*never waits/,
    ])
  const mutex = { mutex: 'm', steps: [echo('x')] }
  t.strictSame(faults(step('critical_section', { ...mutex, waitTimeoutMs: 5 })), [])
  t.match(faults(step('critical_section', { ...mutex, waitTimeoutMs: '5' }))[0], /^\/steps\/0\/config\/waitTimeoutMs: /)
  const workflowFaults = faultsOf(workflow([echo('x')], { concurrency: { key: '{{ steps.x.output }}' } }))
  t.match(workflowFaults, [{ pointer: '/concurrency/key', message: /"x"/ }])
})

t.test('what a rate limit refuses, and where', async (t) => {
  const rated = (rateLimit: JsonObject): JsonObject => ({ ...echo('x'), rateLimit })
  const whole: JsonObject[] = [
    { limit: 1, periodMs: 1 },
    { limit: 1_000_000, periodMs: 2_678_400_000, burst: 1_000_000, scope: 'crm', key: 'k' },
    { limit: '{{ input.most }}', periodMs: 60_000, key: '{{ data.id }}' },
  ]
  for (const good of whole) t.strictSame(faults(rated(good)), [], JSON.stringify(good))
  const pointers = (rateLimit: JsonObject): string[] =>
    faults(rated(rateLimit))
      .map((fault) => fault.split(':')[0]!)
      .sort()
  const at = (...fields: string[]): string[] => fields.map((field) => `/steps/0/rateLimit/${field}`)
  t.strictSame(pointers({}), at('limit', 'periodMs'))
  t.strictSame(pointers({ limit: 0, periodMs: 0, burst: 0 }), at('burst', 'limit', 'periodMs'), 'all at once')
  t.strictSame(
    pointers({ limit: 1_000_001, periodMs: 2_678_400_001, burst: 1_000_001 }),
    at('burst', 'limit', 'periodMs'),
  )
  t.strictSame(pointers({ limit: 1.5, periodMs: '60', burst: '{{ 1 }}' }), at('burst', 'limit', 'periodMs'))
  t.strictSame(pointers({ limit: 1, periodMs: 1, onLimit: 'queue' }), at('onLimit'))
  t.strictSame(pointers({ limit: 1, periodMs: 1, key: 5, scope: '' }), at('key', 'scope'))
  t.strictSame(pointers({ limit: '{{ 1 + }}', periodMs: 1, key: '{{ 1 + }}' }), at('key', 'limit'))
  t.match(faults(rated({ limit: 1, periodMs: 1, key: '{{ steps.y.output }}' })), [/^\/steps\/0\/rateLimit\/key: .*"y"/])
  t.match(faults(rated({ limit: 1, periodMs: 1, key: '{{ secrets.KEY }}' })), [/^\/steps\/0\/rateLimit\/key: /])
  const composite = step('sequential', { steps: [echo('x')] }, { rateLimit: { limit: 1, periodMs: 1 } })
  t.match(faults(composite), [/^\/steps\/0\/rateLimit: /], 'it is for what is called')
  t.strictSame(faults({ ...echo('x'), rateLimit: 5 }).length, 1)
})

t.test('a step that would wait for itself is refused as far as that is written out', async (t) => {
  const inner = (concurrency: JsonObject): JsonObject => ({ ...echo('in'), concurrency })
  const around = (concurrency: JsonObject, ...steps: JsonObject[]): JsonObject =>
    step('sequential', { steps }, { concurrency })
  const same = { scope: 'crm', key: 'k' }
  const pointer = '/steps/0/config/steps/0/concurrency/key'
  t.strictSame(faults(around(same, inner(same))), [
    `${pointer}: would wait for itself: step "s" around it holds "k" already`,
  ])
  t.strictSame(faultsOf(workflow([inner(same)], { concurrency: same })), [
    { pointer: '/steps/0/concurrency/key', message: 'would wait for itself: the workflow around it holds "k" already' },
  ])
  const others: JsonObject[] = [
    { scope: 'crm', key: 'l' },
    { scope: 'erp', key: 'k' },
    { key: 'k' },
    { ...same, key: '{{ data }}' },
  ]
  for (const other of others) t.strictSame(faults(around(same, inner(other))), [], JSON.stringify(other))
  const two = { ...same, limit: 2 }
  t.strictSame(faults(around(two, inner(two))), [], 'there is another slot to wait for')
  const compensated = { ...echo('paid'), concurrency: same, compensate: [inner(same)] }
  t.strictSame(faults(compensated), [], 'what takes a step back runs when it is over')
})

t.test('a definition needs the oldest format that knows its steps', async (t) => {
  t.equal(planOf(workflow([echo('x'), step('parallel', { steps: [echo('y')] })])).format, 1)
  t.equal(planOf(workflow([step('parallel', { steps: [echo('x')], join: 'any' })])).format, 2)
  t.equal(planOf(workflow([step('sequential', { steps: [echo('x')] }, { output: 1 })])).format, 2)
  t.equal(planOf(workflow([{ ...echo('x'), concurrency: {} }])).format, 2)
  t.equal(planOf(workflow([echo('x')], { concurrency: {} })).format, 2)
  t.equal(planOf(workflow([{ ...echo('x'), rateLimit: { limit: 1, periodMs: 1 } }])).format, 2)
  t.equal(
    planOf(workflow([step('sequential', { steps: [{ ...step('wait', { durationMs: 1 }), id: 'w' }] })])).format,
    2,
  )
})

t.test('a join that can never be reached', async (t) => {
  t.strictSame(faults(step('parallel', { steps: [echo('x'), echo('y'), echo('z')], join: 5 })), [
    `${at}/join: 5 of 3 steps can never be completed`,
  ])
  t.strictSame(faults(step('foreach', { items: [1], steps: [echo('x')], join: 2 })), [
    `${at}/join: 2 of 1 item can never be completed`,
  ])
})

t.test(
  'an output of a composite reads what is within, but not out of a loop; a gate and an action have none',
  async (t) => {
    const output = (type: string, config: JsonObject, text: string) =>
      faults(step(type, config, { output: { a: text } }))
    const x = '{{ steps.x.output }}'
    t.strictSame(output('parallel', { steps: [echo('x'), echo('y')] }, x), [])
    t.strictSame(output('try', { steps: [echo('x')], catch: [{ steps: [echo('y')] }] }, x), [])
    t.strictSame(output('sequential', { steps: [{ ...step('sequential', { steps: [echo('x')] }), id: 'i' }] }, x), [])
    t.strictSame(output('while', { condition: 'data', steps: [echo('x')], maxIterations: 2 }, x), [
      `${at.replace('/config', '/output/a')}: Step "x" runs once an iteration of "s"; here only data can be read`,
    ])
    t.match(output('parallel', { steps: [echo('x')] }, '{{ steps.s.output }}').join(), /A step cannot name itself/)
    t.match(output('condition', { condition: 'data' }, 'x').join(), /output: is for a condition with branches/)
    t.match(output('action', { type: 'echo' }, 'x').join(), /output/)
    const inner = faults(step('sequential', { steps: [reading('y', 'steps.s.output')] }, { output: '{{ data }}' }))
    t.match(inner.join(), /"s" contains this step/, 'only the output itself comes after what is within')
  },
)

t.test('a rest without a join, a join of neither kind, a condition that reads what is within or is none', async (t) => {
  const join = (config: object) => faults(step('parallel', { steps: [echo('x'), echo('y')], ...config }))
  const needless = `${at}/rest: has no meaning without a join: nothing is left when all have ended`
  t.strictSame(join({ rest: 'continue' }), [needless])
  t.strictSame(join({ rest: 'continue', join: 'all' }), [needless])
  t.match(join({ join: { when: 'data.x' }, rest: 'forget' }).join(), /config\/rest: /)
  t.match(join({ join: 'most' }).join(), /config\/join: /)
  t.match(join({ join: {} }).join(), /config\/join/)
  t.match(join({ join: { when: 'data.x >' } }).join(), /config\/join\/when: /)
  t.match(join({ join: { when: 'steps.x.output' } }).join(), /"x" stands within this step.*/)
})

t.test('a race without branches or with one, two branches of the same name, a step of another branch', async (t) => {
  const few = `${at}/branches: must have at least 2 elements`
  t.strictSame(faults(step('race', { branches: [] })), [few])
  t.strictSame(faults(step('race', { branches: [{ steps: [echo('x')] }] })), [few])
  t.strictSame(faults(step('race', {})), [`${at}/branches: is missing`])
  const twins = ['x', 'y'].map((id) => ({ name: 'a', steps: [echo(id)] }))
  t.strictSame(faults(step('race', { branches: twins })), [`${at}/branches/1/name: "a" names another branch too`])
  const peeks = step('race', { branches: [{ steps: [echo('x')] }, { steps: [reading('y', 'steps.x.output')] }] })
  t.match(faults(peeks), [/branches\/1\/.*: Step "x" stands in another branch, of which only one goes on/])
})

t.test('a loop without a bound, a list that is a text, an item by a name that is taken', async (t) => {
  t.strictSame(faults(step('while', { condition: 'true', steps: [echo('x')] })), [`${at}/maxIterations: is missing`])
  t.strictSame(faults(step('foreach', { items: 'data.rows', as: 'data', steps: [echo('x')] })), [
    `${at}/items: is a text: write the expression that gives the list in {{ }}`,
    `${at}/as: "data" means something else in every expression; choose another name`,
  ])
})

t.test('two cases of the same name, a try that guards nothing', async (t) => {
  const cases = [
    { name: 'a', when: 'true', steps: [echo('x')] },
    { name: 'a', when: 'false', steps: [echo('y')] },
  ]
  t.strictSame(faults(step('switch', { cases })), [`${at}/cases/1/name: "a" names another case too`])
  t.strictSame(faults(step('try', { steps: [echo('x')] })), [
    `${at}/catch: is missing: a try has catch, finally, or both`,
  ])
})

t.test('a wait for both or neither, for no time, a time-out without a time', async (t) => {
  t.strictSame(faults(step('wait', {})), [`${at}/durationMs: A wait has either durationMs or until`])
  t.strictSame(faults(step('wait', { durationMs: 1, until: '2030-01-01' })), [
    `${at}/until: A wait has either durationMs or until`,
  ])
  t.strictSame(faults(step('wait', { until: 'tomorrow' })), [
    `${at}/until: is no time: write it like 2027-01-01T00:00:00Z`,
  ])
  t.strictSame(faults(step('wait_for_signal', { signal: 'a', onTimeout: 'fail' })), [
    `${at}/onTimeout: is for a wait with timeoutMs; leave it out, or set one`,
  ])
  t.match(faults(step('wait_for_signal', { signal: 'a', schema: { type: 'nonsense' } })), [
    /^\/steps\/0\/config\/schema\/type: /,
  ])
  const large = { anyOf: Array.from({ length: 600 }, () => ({ type: 'string' })) }
  t.match(
    faults(
      step('wait_for_signal', { signal: 'a', schema: large }),
      step('approval', { title: 'b', form: large }, { id: 's1' }),
    ),
    [/^\/steps\/1\/config\/form: holds 601 schemas; of the 1000 that are taken 399 are left/],
  )
})

t.test('a signal that no step would take is told from one that some step may take', async (t) => {
  const wait = (id: string, signal: string, schema?: Json) =>
    step('wait_for_signal', { signal, ...(schema !== undefined && { schema }) }, { id })
  const plan = planOf(
    workflow([
      wait('a', 'paid', { required: ['order'] }),
      wait('b', 'paid', { type: 'string' }),
      wait('c', 'open', { type: 'string' }),
      wait('d', 'open'),
      wait('e', 'never', false),
    ]),
  )
  t.strictSame(plan.signalFaults('paid', { order: 7 }), [])
  t.strictSame(plan.signalFaults('paid', 'x'), [])
  t.strictSame(plan.signalFaults('paid', {}), [{ pointer: '/order', message: 'is missing' }])
  t.strictSame(plan.signalFaults('open', 5), [], 'a step without a schema takes it')
  t.strictSame(plan.signalFaults('other', 5), [], 'no step waits for it')
  t.equal(plan.signalFaults('never', 5).length, 1)
  const grow = { signal: 'paid', end: 'never' }
  const list = step('foreach', { items: [], grow, steps: [echo('y')] }, { id: 'f' })
  const growing = planOf(workflow([list, wait('a', 'paid', false)]))
  t.strictSame(growing.signalFaults('paid', 5), [], 'a list grows by it')
})

t.test('an approval without a title, by a form that is none, with a deadline that does nothing', async (t) => {
  const approval = (config: JsonObject) => faults(step('approval', { title: 'Really?', ...config }))
  t.strictSame(faults(step('approval', {})), [`${at}/title: is missing`])
  t.strictSame(approval({ form: { type: 'nonsense' } }).length, 1)
  t.match(approval({ form: { type: 'nonsense' } }), [/^\/steps\/0\/config\/form\/type: /])
  t.match(approval({ form: 5 }), [/^\/steps\/0\/config\/form: must be an object or a boolean/])
  t.strictSame(approval({ assignees: 'ada' }), [
    `${at}/assignees: is a text: write a list, or the expression that gives one in {{ }}`,
  ])
  t.strictSame(approval({ deadline: {} }), [`${at}/deadline/durationMs: A deadline has either durationMs or until`])
  t.strictSame(approval({ deadline: { until: 'tomorrow' } }), [
    `${at}/deadline/until: is no time: write it like 2027-01-01T00:00:00Z`,
  ])
  t.strictSame(approval({ onDeadline: { outcome: 'reject' } }), [
    `${at}/onDeadline: is for an approval with a deadline; leave it out, or set one`,
  ])
  t.strictSame(approval({ deadline: { durationMs: 1 }, onDeadline: { outcome: 'wait' } }), [
    `${at}/onDeadline/steps: is missing: a deadline after which it only waits on does nothing`,
  ])
  t.match(approval({ title: '{{ nonsense( }}' }), [/^\/steps\/0\/config\/title: /])
})

t.test('the forms of a definition together hold no more schemas than an inputSchema', async (t) => {
  const properties = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`p${index}`, {}]))
  const form = { properties }
  const two = ['a', 'b'].map((id) => ({ ...step('approval', { title: 'Really?', form }), id }))
  t.strictSame(faults(two[0]!), [])
  t.strictSame(faults(...two), [
    '/steps/1/config/form: holds 601 schemas; of the 1000 that are taken 399 are left, since each is compiled',
  ])
})

t.test('what a deadline brings about is no share of the whole', async (t) => {
  const onDeadline = { steps: [echo('x'), echo('y')] }
  const plan = planOf(
    workflow([step('approval', { title: 'Really?', deadline: { durationMs: 1 }, onDeadline }), echo('z')]),
  )
  t.equal(plan.format, 2)
  t.strictSame(
    ['s', 'x', 'y', 'z'].map((id) => plan.steps.get(id)!.weight),
    [0.5, 0, 0, 0.5],
  )
})

t.test('a foreach has items or pages; what nobody knows yet is no share', async (t) => {
  const each = (config: JsonObject) => faults(step('foreach', { steps: [echo('x')], ...config }))
  t.strictSame(each({}), [`${at}/items: is missing: give items, or a page that fetches them`])
  t.strictSame(each({ items: [], page: [echo('p')] }), [`${at}/items: and page exclude each other`])
  t.strictSame(each({ page: [echo('p')], grow: { signal: 'more' } }), [
    `${at}/grow: is for items; a page fetches them until there is no next one`,
  ])
  t.strictSame(each({ items: [], grow: { signal: 'more', end: 'more' } }), [
    `${at}/grow/end: is the signal that adds items; take another name`,
  ])
  const unknown = [`${at}/tolerate: is a share of items whose number nobody knows yet: write a number`]
  t.strictSame(each({ page: [echo('p')], tolerate: '10%' }), unknown)
  t.strictSame(each({ items: [], grow: { signal: 'more' }, tolerate: '10%' }), unknown)
})

t.test('complete names a step around it', async (t) => {
  const complete = { ...step('complete', { scope: 'x' }), id: 'c' }
  t.strictSame(faults(echo('x'), complete), [
    '/steps/1/config/scope: "x" is no step around this one: it stands in none',
  ])
  const body = { cases: [{ when: 'true', steps: [complete] }] }
  t.strictSame(faults(step('switch', body)), [
    `${at}/cases/0/steps/0/config/scope: "x" is no step around this one: it stands in "s"`,
  ])
})

t.test('what stands in a loop has no name outside it; the loop itself has', async (t) => {
  const each = step('foreach', { items: [1], steps: [echo('x'), reading('y', 'steps.x.output')] })
  t.strictSame(faults(each, reading('z', 'steps.s.output')), [])
  t.strictSame(faults(each, reading('z', 'steps.x.output')), [
    `/steps/1/config/value: Step "x" runs once an iteration of "s"; outside it only steps['s'].output can be read`,
  ])
  const [fault] = faultsOf(workflow([each], { output: '{{ steps.y.output }}' }))
  t.match(fault, { pointer: '/output', message: /^Step "y" runs once an iteration/ })
})

t.test('cases and catches do not see each other; catches and finally see the steps before them', async (t) => {
  const cases = [
    { when: 'true', steps: [echo('x')] },
    { when: 'true', steps: [reading('y', 'steps.x.output')] },
  ]
  t.match(faults(step('switch', { cases, mode: 'all' })), [/another case/])
  const guarded = (reads: string) =>
    step('try', {
      steps: [echo('x')],
      catch: [{ steps: [echo('y')] }, { steps: [reading('z', reads)] }],
      finally: [reading('f', "steps.y.status == 'skipped' ? steps.x.output : 0")],
    })
  t.strictSame(faults(guarded('steps.x.status')), [])
  t.match(faults(guarded('steps.y.output')), [/another catch/])
})

t.test('names of a loop or catch are known within it alone', async (t) => {
  const closed = { inputSchema: { type: 'object', additionalProperties: false } }
  const each = step('foreach', { items: [1], as: 'row', steps: [reading('x', 'row')] })
  t.strictSame(faultsOf(workflow([each], closed)), [])
  t.match(faultsOf(workflow([each, reading('y', 'row')], closed)), [
    { pointer: '/steps/1/config/value', message: /"row" is not known/ },
  ])
  const set = step('set', { variables: { total: 1 } })
  t.strictSame(faultsOf(workflow([set, reading('y', 'total')], closed)), [], 'what a set step sets is known')
})

const compensated = (compensate: Json, rest: JsonObject = {}): JsonObject => ({ ...echo('s'), compensate, ...rest })

t.test('a compensation is one action or steps; it needs format 2, and is no part of the whole', async (t) => {
  const both = [
    compensated({ type: 'echo', value: '{{ completed.output }}', delayMs: 5 }),
    {
      ...compensated([
        reading('undo', 'completed.data.id + error.message + data'),
        reading('more', 'steps.undo.output'),
      ]),
      id: 't',
    },
  ]
  t.strictSame(faults(...both), [])
  const plan = planOf(workflow(both))
  t.equal(plan.format, 2)
  t.equal(plan.leafCount, 2)
  t.equal(plan.steps.get('compensate-s')!.number, 1)
  t.equal(plan.root.children.length, 2)
})

t.test('a composite and a sub_workflow have compensations too, a gate has none', async (t) => {
  const undo = { compensate: { type: 'echo', value: '{{ completed.output }}' } }
  const good = [
    step('parallel', { steps: [echo('x'), echo('y', undo)] }, undo),
    step('foreach', { items: [1], steps: [echo('x')] }, undo),
    step('sub_workflow', { workflow: 'billing' }, undo),
  ]
  for (const one of good) {
    t.strictSame(faults(one), [])
    t.equal(planOf(workflow([one])).format, 2)
  }
  const plan = planOf(workflow([step('sequential', { steps: [echo('x')] }, { timeoutMs: 5, ...undo })]))
  t.equal(plan.steps.get('compensate-s')!.timeoutMs, null, 'the timeout of a composite is for all that it does')
  const gate = step('condition', { condition: 'data' }, undo)
  t.match(faults(gate), [/^\/steps\/0\/compensate: is for a condition with branches/])
  const taken = step('switch', { cases: [{ name: 'compensate', when: 'data', steps: [echo('x')] }] }, undo)
  t.match(faults(taken), [/^\/steps\/0\/compensate: is what a case or branch of the step is called/])
})

t.test('a compensation that compensates, or is written wrong, or is read by others', async (t) => {
  const twice = compensated([{ ...echo('undo'), compensate: { type: 'echo' } }])
  t.match(faults(twice), [/^\/steps\/0\/compensate\/0\/compensate: is itself within a compensation/])
  t.match(faults(compensated({ type: 'ecko' })), [/^\/steps\/0\/compensate\/type: There is no action "ecko"/])
  t.match(faults(compensated({ type: 'echo', nonsense: 1 })), [/^\/steps\/0\/compensate\/nonsense: /])
  t.match(faults(compensated({ value: 1 })), [/^\/steps\/0\/compensate\/type: is missing/])
  t.match(faults(compensated([])), [/^\/steps\/0\/compensate: must have at least 1 element/])
  t.match(faults(compensated({ type: 'echo' }), echo('compensate-s')), [/^\/steps\/1\/id: "compensate-s" is the id of/])
  t.match(faults(compensated([echo('undo')]), reading('x', 'steps.undo.output')), [/Step "undo" runs only when/])
})

t.test('a compensation reads what is outside of loops; in one, what its own step saw', async (t) => {
  const loop = (value: string): JsonObject => ({
    ...step('foreach', { items: [1], steps: [echo('in'), { ...echo('x'), compensate: { type: 'echo', value } }] }),
    id: 'each',
  })
  t.strictSame(faults(echo('out'), loop('{{ steps.out.output + completed.output + completed.data }}')), [])
  t.match(faults(loop("{{ steps['in'].output }}")), [/Step "in" runs once an iteration of "each"/])
})

t.test(
  'onFailure reads all of the flow and its error; nothing of it is compensated, and it cannot complete',
  async (t) => {
    const withOnFailure = (...onFailure: JsonObject[]) =>
      faultsOf({ ...workflow([echo('x')]), onFailure }).map(({ pointer, message }) => `${pointer}: ${message}`)
    t.strictSame(withOnFailure(reading('tell', 'error.message + steps.x.status')), [])
    t.equal(planOf({ ...workflow([echo('x')]), onFailure: [echo('tell')] }).format, 2)
    t.match(withOnFailure(compensated({ type: 'echo' })), [/^\/onFailure\/0\/compensate: is within onFailure/])
    t.match(withOnFailure(step('complete', {})), [/^\/onFailure\/0\/config\/scope: is missing: the flow is over/])
  },
)

t.test('a retry by an expression sees the error and the attempt; the workflow’s own can read no step', async (t) => {
  const retrying = (when: string): JsonObject => ({ ...echo('r'), retryPolicy: { when } })
  t.strictSame(faults(echo('x'), retrying('error.details.status == 404 && attempt < 3 && steps.x.output')), [])
  t.equal(planOf(workflow([retrying('true')])).format, 2)
  t.equal(planOf(workflow([{ ...echo('r'), retryPolicy: {} }])).format, 1)
  t.match(faults(retrying('1 +')), [/^\/steps\/0\/retryPolicy\/when: /])
  const all = (when: string) => faultsOf({ ...workflow([echo('x'), echo('y')]), retryPolicy: { when } })
  t.strictSame(all('attempt < 3'), [])
  t.match(all('steps.x.output'), [{ pointer: '/retryPolicy/when', message: /reads step "x"/ }])
  t.match(all('1 +'), [{ pointer: '/retryPolicy/when' }], 'once, however many steps there are')
})

t.test('a sub_workflow names a workflow, and its parent can only wait for what it does not wait for', async (t) => {
  t.match(faults(step('sub_workflow', {})), [/^.steps.0.config.workflow: /])
  t.match(faults(step('sub_workflow', { workflow: '', version: 0 })).join(), /config\/workflow.*config\/version/)
  t.strictSame(faults(step('sub_workflow', { workflow: 'billing', parentClosePolicy: 'wait' })), [
    `${at}/parentClosePolicy: wait is for fire_and_forget: a step that waits goes on when its child has ended`,
  ])
})

t.test('an emit says to whom: by ids alone, or by what narrows', async (t) => {
  t.match(faults(step('emit', { signal: '' })).join(), /config\/signal.*config\/to/)
  t.match(faults(step('emit', { signal: 'go', to: {} })), [new RegExp(`^${at}/to: `)])
  t.match(faults(step('emit', { signal: 'go', to: { tag: 'x' } })), [new RegExp(`^${at}/to/tag: `)])
  t.strictSame(faults(step('emit', { signal: 'go', to: { executionId: 'x', workflow: 'order' } })), [
    `${at}/to/executionId: names the receivers by itself; leave the others out`,
  ])
  t.strictSame(faults(step('emit', { signal: 'go', to: { workflow: 'order' } })), [
    `${at}/to/workflow: only narrows; give correlationId or executionKey too`,
  ])
  t.match(faults(step('emit', { signal: '{{ nope( }}', to: { correlationId: '{{ steps.no.output }}' } })), [
    new RegExp(`^${at}/signal: `),
    new RegExp(`^${at}/to/correlationId: .*"no"`),
  ])
})

t.test('a critical_section needs a mutex, and not one that it stands within already', async (t) => {
  t.match(faults(step('critical_section', {})).join(), /config\/mutex.*config\/steps/)
  t.match(faults(step('critical_section', { mutex: '', steps: [] })).join(), /config\/mutex.*config\/steps/)
  const section = (id: string, mutex: string, steps: JsonObject[]): JsonObject => ({
    id,
    type: 'critical_section',
    config: { mutex, steps },
  })
  const around = (inner: JsonObject): JsonObject =>
    section('outer', 'ledger', [step('parallel', { steps: [inner, echo('x')] })])
  t.strictSame(faults(around(section('inner', 'ledger', [echo('y')]))), [
    `${at}/steps/0/config/steps/0/config/mutex: would wait for itself: step "outer" around it holds "ledger" already`,
  ])
  t.strictSame(faults(around(section('inner', 'another', [echo('y')]))), [])
  t.strictSame(faults(around(section('inner', '{{ input.name }}', [echo('y')]))), [], 'nobody knows before it runs')
  t.match(faults(section('s', '{{ nope( }}', [echo('y')])), [new RegExp(`^${at}/mutex: `)])
})

t.test('a name that would become a prototype names nothing', async (t) => {
  const name = '__proto__'
  const cases = [{ name, when: 'true', steps: [echo('x')] }]
  const refused: [JsonObject, string][] = [
    [echo(name), '/steps/0/id'],
    [step('switch', { cases, mode: 'all' }), `${at}/cases/0/name`],
    [step('race', { branches: [{ name, steps: [echo('x')] }, { steps: [echo('y')] }] }), `${at}/branches/0/name`],
    [step('foreach', { items: [], as: name, steps: [echo('x')] }), `${at}/as`],
    [step('try', { steps: [echo('x')], catch: [{ as: name, steps: [echo('y')] }] }), `${at}/catch/0/as`],
  ]
  for (const [wrong, pointer] of refused) t.strictSame(faults(wrong), [`${pointer}: is a name that cannot be used`])
  t.strictSame(faults(echo('constructor'), echo('toString')), [])
})

t.test('a signal that nobody can send is not waited for', async (t) => {
  const signal = 'a\u0000'
  const fault = 'may not hold U+0000 or half a surrogate pair (U+D800 to U+DFFF)'
  t.strictSame(faults(step('wait_for_signal', { signal })), [`${at}/signal: ${fault}`])
  const grow = { signal, end: 'b\u0000' }
  t.strictSame(faults(step('foreach', { items: [], grow, steps: [echo('x')] })), [
    `${at}/grow/signal: ${fault}`,
    `${at}/grow/end: ${fault}`,
  ])
})

t.test('an approval that no text column can hold, or that is too long as it stands, is refused', async (t) => {
  const ask = (config: object) => faults(step('approval', { title: 'May it?', ...config }))
  const stored = 'may not hold U+0000 or half a surrogate pair (U+D800 to U+DFFF)'
  t.strictSame(ask({ title: 'a\u0000' }), [`${at}/title: ${stored}`])
  t.strictSame(ask({ title: 'a\ud800', description: '\udc00' }), [
    `${at}/title: ${stored}`,
    `${at}/description: ${stored}`,
  ])
  t.strictSame(ask({ assignees: ['a', 'b\u0000'] }), [`${at}/assignees/1: ${stored}`])
  t.strictSame(ask({ title: 'x'.repeat(1_001) }), [`${at}/title: must have at most 1000 characters`])
  t.strictSame(ask({ groups: ['x'.repeat(201)] }), [`${at}/groups/0: must have at most 200 characters`])
  t.strictSame(ask({ title: `{{ input.title }}${' '.repeat(1_000)}`, description: '😀' }), [])
})
