import t from 'tap'
import type { Json } from '../../../../src/definition/json.ts'
import type { ApprovalChange } from '../../../../src/engine/core/approvals.ts'
import { checkpointStateOf } from '../../../../src/engine/core/checkpoint.ts'
import type { Command } from '../../../../src/engine/core/command.ts'
import { progressOf } from '../../../../src/engine/core/progress.ts'
import { regroupSlots } from '../../../../src/engine/core/slots.ts'
import { a, Driver, of, par } from '../driver.ts'

const ask = (config: object = {}): object => of('approval', 'ask', { title: 'Refund {{ input }}?', ...config })

/** Decides the approval that the step at `path` has asked for. */
function decide(d: Driver, decision: 'approved' | 'rejected', data: Json = null, path = 'ask'): Driver {
  const approvalId = d.state.steps.get(path)!.approval!
  const said = { decision, data, by: 'ada', comment: 'fine' }
  return d.fact({ type: 'approval.decided', path, data: { approvalId, ...said, requestId: 'r' } })
}

/** What the list of approvals was told since the last look. */
function listed(d: Driver): ApprovalChange[] {
  const changes = d.commands.flatMap((command: Command) => (command.type === 'list_approval' ? command.change : []))
  d.commands = []
  return changes
}
const closings = (d: Driver): string[] =>
  listed(d).flatMap((change) => (change.type === 'closed' ? `${change.approvalId} ${change.status}` : []))

const decidedAt = '1970-01-01T00:00:01.000Z'

t.test('an approval asks, waits, and is completed with what was decided', async (t) => {
  const people = { assignees: ['{{ input }}@example.org'], groups: '{{ ["a", "b"] }}' }
  const d = new Driver([ask({ ...people, description: 'since {{ data }}' }), a('x')], { input: 'ada' }).start()
  t.equal(d.status('ask'), 'waiting')
  const request = { approvalId: 'id 1', title: 'Refund ada?', description: 'since ada', dueAt: null }
  t.same(listed(d), [
    {
      type: 'opened',
      path: 'ask',
      at: 1_000,
      request: { ...request, assignees: ['ada@example.org'], groups: ['a', 'b'] },
    },
  ])
  t.same(d.state.approvals, { 'id 1': 'ask' })
  t.same(d.pending(), [], 'nothing is under way, so it parks')
  decide(d, 'approved', { amount: 5 })
  t.same(listed(d), [
    {
      type: 'closed',
      approvalId: 'id 1',
      status: 'approved',
      at: 1_000,
      decision: { data: { amount: 5 }, by: 'ada', comment: 'fine', requestId: 'r' },
    },
  ])
  const output = { decision: 'approved', data: { amount: 5 }, by: 'ada', comment: 'fine', decidedAt }
  t.same(d.state.steps.get('ask')!.output, output)
  t.same(d.state.steps.get('ask')!.meta, { approvalId: 'id 1' })
  t.same(d.state.approvals, {})
  t.equal(d.state.checkpoints.recent.at(-1)!.stepId, 'ask', 'it is a checkpoint')
  t.equal(d.state.percentage, 50)
  t.equal(d.checkReplay(t).state.steps.get('x')!.data, 'ask')
})

t.test('a rejection completes the step, so that a switch can branch, or fails it when that is asked for', async (t) => {
  const going = decide(new Driver([ask(), a('x')]).start(), 'rejected')
  t.match(going.checkReplay(t).state.steps.get('ask'), { status: 'completed', output: { decision: 'rejected' } })
  const failing = decide(new Driver([ask({ onReject: 'fail' })]).start(), 'rejected', 'since')
  t.match(failing.checkReplay(t).state.error, {
    type: 'ApprovalRejected',
    message: 'rejected: fine',
    stepPath: 'ask',
    details: { by: 'ada', data: 'since' },
  })
  t.same(closings(failing), ['id 1 rejected'])
})

t.test('of two decisions the first one counts', async (t) => {
  const d = decide(new Driver([ask(), a('x')]).start(), 'approved')
  const { seq } = d.state
  const late = { approvalId: 'id 1', decision: 'rejected', data: null, by: 'bob', comment: null } as const
  const { isMoot } = await import('../../../../src/engine/core/moot.ts')
  t.ok(isMoot(d.state, { type: 'approval.decided', path: 'ask', data: late }))
  t.equal(d.checkReplay(t).state.seq, seq)
})

t.test('what cannot be asked fails the step', async (t) => {
  const bad: [object, string][] = [
    [{ title: '{{ 1 + 1 }}' }, 'title must be a text of up to 1,000 characters, and is 2'],
    [{ description: '{{ 5 }}' }, 'description must be a text of up to 10,000 characters, and is 5'],
    [{ assignees: '{{ 7 }}' }, 'assignees must be a list of up to 100 texts of up to 200 characters, and is 7'],
    [{ groups: ['{{ "" }}'] }, 'groups must be a list of up to 100 texts of up to 200 characters, and is [""]'],
    [
      { deadline: { until: '{{ "soon" }}' } },
      'of the deadline until must be a time (RFC 3339, or ms since 1970), and is "soon"',
    ],
  ]
  for (const [config, message] of bad)
    t.match(new Driver([ask(config)]).start().checkReplay(t).state.error, { type: 'ValidationError', message })
})

const deadline = { durationMs: 100 }

t.test('nobody decides in time: it fails, or is approved or rejected', async (t) => {
  const failing = new Driver([ask({ deadline })]).start()
  t.same(failing.pending(), ['set_timer wait ask 1100'])
  failing.passTime(99)
  t.equal(failing.status('ask'), 'waiting')
  failing.passTime(1)
  t.match(failing.checkReplay(t).state.error, { type: 'TimeoutError', message: 'nobody has decided in time' })
  t.same(closings(failing), ['id 1 expired'])
  for (const [outcome, decision] of [['approve', 'approved'] as const, ['reject', 'rejected'] as const]) {
    const d = new Driver([ask({ deadline, onDeadline: { outcome } })]).start().passTime(100)
    t.same(d.checkReplay(t).state.output, {
      decision,
      data: null,
      by: null,
      comment: null,
      decidedAt: '1970-01-01T00:00:01.100Z',
    })
    t.same(d.state.steps.get('ask')!.meta, { approvalId: 'id 1', isByDeadline: true })
    t.same(closings(d), [`id 1 ${decision}`])
  }
  const strict = new Driver([ask({ deadline, onDeadline: { outcome: 'reject' }, onReject: 'fail' })]).start()
  t.match(strict.passTime(100).checkReplay(t).state.error, {
    type: 'ApprovalRejected',
    message: 'nobody has decided in time',
  })
})

const escalating = (outcome: string, ...steps: object[]): object =>
  ask({ deadline, onDeadline: { outcome, steps: steps.length > 0 ? steps : [a('tell')] } })
const told = 'ask[onDeadline].tell'

t.test('steps run when the deadline passes, and the approval can be decided meanwhile', async (t) => {
  const d = new Driver([escalating('reject'), a('x')]).start().passTime(100)
  t.same([d.status('ask'), d.status(told)], ['running', 'running'])
  t.same(d.state.approvals, { 'id 1': 'ask' })
  t.same(d.pending(), [`perform ${told} 1`])
  d.take()
  const shown = (path: string) => progressOf(d.plan, d.state, new Map(), d.at).steps.find((one) => one.path === path)
  t.match([shown('ask'), shown(told)], [{ status: 'waiting', approvalId: 'id 1' }, { status: 'running' }])
  t.match(progressOf(d.plan, d.state, new Map(), d.at).currentStep, { path: told }, 'what is under way is current')
  t.match(checkpointStateOf(d.plan, d.state).steps, { ask: { status: 'waiting' } })
  decide(d, 'approved')
  t.match(shown('ask'), { status: 'completed' })
  t.same([d.status('ask'), d.status(told), d.status('x')], ['completed', 'cancelled', 'running'])
  t.equal(d.take()[1], `abort ${told}`)
  t.equal(d.checkReplay(t).state.percentage, 50)
})

t.test('after its steps an approval is decided, fails, or goes on waiting', async (t) => {
  const rejected = new Driver([escalating('reject')]).start().passTime(100).complete(told)
  t.match(rejected.checkReplay(t).state, { status: 'completed', output: { decision: 'rejected' }, percentage: 100 })
  const failed = new Driver([escalating('fail')]).start().passTime(100).complete(told)
  t.match(failed.checkReplay(t).state, { status: 'failed', error: { type: 'TimeoutError' } })
  const waiting = new Driver([escalating('wait')]).start().passTime(100).complete(told)
  t.equal(waiting.status('ask'), 'waiting')
  t.same(waiting.pending(), [])
  t.equal(waiting.state.percentage, 0, 'its share is that of the decision')
  t.equal(decide(waiting, 'approved').checkReplay(t).state.status, 'completed')
})

t.test('expressions see that an approval waits while the steps of its deadline run', async (t) => {
  const both = par('p', [escalating('reject'), a('quick')], { join: 'any', rest: 'continue' })
  const look = of('set', 'look', { variables: { seen: '{{ steps.ask.status }}' } })
  const d = new Driver([both, look]).start().passTime(100).complete('p.quick')
  t.equal(d.state.variables.seen, 'waiting')
  t.equal(d.status('p.ask[onDeadline].tell'), 'running')
  d.checkReplay(t)
})

t.test('steps of the deadline that fail, fail the approval', async (t) => {
  const d = new Driver([escalating('wait')]).start().passTime(100).fail(told)
  t.match(d.checkReplay(t).state, { status: 'failed', error: { type: 'ConnectionError', stepPath: told } })
  t.same(closings(d), ['id 1 cancelled'])
})

t.test('the steps of a deadline see the id of the approval, and are skipped when it is decided in time', async (t) => {
  const tell = of('set', 'tell', { variables: { seen: '{{ approval.id }}' } })
  const late = new Driver([escalating('wait', tell)]).start().passTime(100)
  t.equal(late.checkReplay(t).state.variables.seen, 'id 1')
  const d = decide(new Driver([escalating('wait'), a('x')]).start(), 'approved')
  t.equal(progressOf(d.plan, d.state, new Map(), d.at).steps.find(({ id }) => id === 'tell')!.status, 'skipped')
  t.equal(d.complete('x').checkReplay(t).state.percentage, 100)
})

t.test('progress shows an approval as the current step, waiting, with its id', async (t) => {
  const d = new Driver([a('x'), escalating('wait')]).start().complete('x')
  const progress = progressOf(d.plan, d.state, new Map(), d.at)
  t.match(progress.currentStep, { path: 'ask', number: 2 })
  t.match(progress.steps[1], { path: 'ask', status: 'waiting', approvalId: 'id 1' })
  t.notOk('approvalId' in progress.steps[0]!)
})

t.test('an approval ends with what it stands in', async (t) => {
  const cancelled = new Driver([escalating('wait')]).start().fact({ type: 'execution.cancelled', data: {} })
  t.same(closings(cancelled), ['id 1 cancelled'])
  t.same(cancelled.checkReplay(t).state.approvals, {})
  const branches = [{ steps: [ask()] }, { steps: [a('x')] }]
  const lost = new Driver([of('race', 'r', { branches })]).start().complete('r[1].x')
  t.same(closings(lost), ['id 1 cancelled'])
  const beside = new Driver([par('p', [ask(), a('x')])]).start().fail('p.x')
  t.same(closings(beside), ['id 1 cancelled'])
  t.equal(beside.checkReplay(t).state.status, 'failed')
})

t.test('a decision during a pause is taken, and acts at resume', async (t) => {
  const d = new Driver([ask(), a('x')]).start().fact({ type: 'execution.pause_requested', data: {} })
  t.equal(d.state.status, 'paused')
  decide(d, 'approved')
  t.same([d.status('ask'), d.status('x'), d.state.status], ['completed', 'pending', 'paused'])
  d.fact({ type: 'execution.resumed', data: {} }).checkReplay(t)
  t.equal(d.status('x'), 'running')
})

t.test('a deadline that passes during a pause acts at resume', async (t) => {
  const d = new Driver([ask({ deadline })]).start().fact({ type: 'execution.pause_requested', data: {} }).passTime(200)
  t.equal(d.status('ask'), 'waiting')
  d.fact({ type: 'execution.resumed', data: {} }).passTime(0)
  t.equal(d.checkReplay(t).state.status, 'failed')
})

t.test('a retry asks anew, under another id, also when the steps of a deadline had failed', async (t) => {
  const d = new Driver([ask({ onReject: 'fail' })]).start()
  decide(d, 'rejected').fact({ type: 'execution.retried', data: {} })
  t.same(d.state.approvals, { 'id 2': 'ask' })
  t.equal(decide(d, 'approved').checkReplay(t).state.status, 'completed')
  const late = new Driver([escalating('wait')]).start().passTime(100).fail(told)
  late.fact({ type: 'execution.retried', data: {} })
  t.same([late.status('ask'), late.status(told)], ['waiting', undefined])
  t.same(late.pending(), ['set_timer wait ask 1200'])
  late.passTime(100)
  t.equal(late.checkReplay(t).status(told), 'running')
})

t.test('each iteration of a loop asks for itself', async (t) => {
  const d = new Driver([of('foreach', 'each', { items: [1, 2], concurrency: 2, steps: [ask()] })]).start()
  t.same(d.state.approvals, { 'id 1': 'each[0].ask', 'id 2': 'each[1].ask' })
  decide(d, 'rejected', null, 'each[1].ask')
  decide(d, 'approved', null, 'each[0].ask')
  t.match(d.checkReplay(t).state.output, [{ decision: 'approved' }, { decision: 'rejected' }])
})

t.test(
  'a rollback to within the steps of a deadline asks anew, and forgets what they have done and hold',
  async (t) => {
    const section = of('critical_section', 's', {
      mutex: 'm',
      steps: [a('x', { compensate: { type: 'echo' } }), a('y')],
    })
    const onDeadline = { outcome: 'wait', steps: [section] }
    const build = () =>
      new Driver([ask({ deadline: { durationMs: 10 }, onDeadline }), of('fail', 'no', { error: 'No', message: 'no' })])
        .start()
        .passTime(10)
        .grant('ask[onDeadline].s')
        .complete('ask[onDeadline].s.x')
    const present = build()
    const d = build()
    const slots = regroupSlots(present.state, d.state)!
    t.match(slots, { kept: [], released: [{ path: 'ask[onDeadline].s' }] })
    d.commands = []
    const approvals = Object.keys(present.state.approvals!)
    const data = { checkpointIndex: 0, toSeq: d.state.seq, generation: 1, kept: [], slots, approvals, resume: true }
    d.fact({ type: 'execution.rolled_back', data })
    t.match(d.take(), ['release_slot ask[onDeadline].s'])
    t.equal(d.status('ask'), 'waiting')
    t.same(d.state.completions, [])
    decide(d, 'approved')
    t.equal(d.state.status, 'failed', 'nothing is compensated of which nothing is known any more')
  },
)
