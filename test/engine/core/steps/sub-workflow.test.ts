import t from 'tap'
import { regroup } from '../../../../src/engine/core/children.ts'
import { a, Driver, of, par } from '../driver.ts'

const sub = (config: object = {}, rest: object = {}) =>
  of('sub_workflow', 's', { workflow: 'billing', ...config }, rest)
const started = (d: Driver, executionId = 'c', path = 's') =>
  d.fact({ type: 'child.started', path, data: { executionId, workflowId: 'w', workflowVersion: 1 } })
const ended = (d: Driver, output: string, path = 's') =>
  d.fact({ type: 'step.completed', path, data: { output, meta: { executionId: 'c' } } })

t.test('it is looked up until its child has started, and completed when that has ended', async (t) => {
  const d = new Driver([sub(), a('x')]).start()
  t.same(d.take(), ['look_up s'])
  t.same(d.pending(), ['look_up s'])
  started(d)
  t.same(d.pending(), [], 'the child is on its own')
  t.same(d.state.children, { c: { path: 's', isAwaited: true, policy: 'cancel' } })
  ended(d, 'paid').complete('x').checkReplay(t)
  t.same(d.state.children, {})
  t.equal(d.state.steps.get('s')!.output, 'paid')
  t.equal(d.state.checkpoints.next, 2, 'it is a checkpoint')
})

t.test('pause and resume reach what is waited for; a child that ended meanwhile is taken at resume', async (t) => {
  const d = started(new Driver([sub(), a('x')]).start())
  d.take()
  d.fact({ type: 'execution.pause_requested', data: {} })
  t.same(d.take(), ['tell_child c pause'])
  ended(d, 'paid')
  t.equal(d.status('x'), 'pending')
  d.fact({ type: 'execution.resumed', data: {} })
  t.equal(d.status('x'), 'running')
  d.checkReplay(t)
})

t.test('what is not looked up when a pause comes is looked up at resume', async (t) => {
  const d = new Driver([sub()]).start().fact({ type: 'execution.pause_requested', data: {} })
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['look_up s'])
  d.checkReplay(t)
})

t.test('a step that ends otherwise cancels its child, or abandons it', async (t) => {
  for (const [config, commands] of [
    [{}, ['tell_child c cancel']],
    [{ parentClosePolicy: 'abandon' }, []],
  ] as const) {
    const d = started(new Driver([par('p', [sub(config), a('x')], { join: 'any' })]).start(), 'c', 'p.s')
    d.take()
    d.complete('p.x').checkReplay(t)
    t.same(d.take(), commands)
    t.same(d.state.children, {})
    const timed = started(new Driver([sub(config, { timeoutMs: 50 })]).start())
    timed.take()
    timed.passTime(50).checkReplay(t)
    t.match(timed.state.error, { type: 'TimeoutError' })
    t.same(
      timed.take().filter((text) => text.startsWith('tell')),
      commands,
    )
  }
})

t.test('a child that has failed is not told to end', async (t) => {
  const d = started(new Driver([sub()]).start())
  d.take()
  const error = { type: 'CardDeclined', message: 'no', details: { executionId: 'c' } }
  d.fact({ type: 'step.failed', path: 's', data: { error, retryAt: null } }).checkReplay(t)
  t.same(d.take(), [])
  t.match(d.state.error, error)
})

t.test('fire_and_forget completes at once; with wait the execution is completed after its child', async (t) => {
  const forget = started(new Driver([sub({ mode: 'fire_and_forget' })]).start()).checkReplay(t)
  t.match(forget.state, { status: 'completed', output: { executionId: 'c' } })
  t.notOk(forget.take().some((text) => text.startsWith('tell')))
  const d = started(new Driver([sub({ mode: 'fire_and_forget', parentClosePolicy: 'wait' })]).start())
  t.equal(d.status('s'), 'completed')
  t.equal(d.state.status, 'running')
  t.same(d.pending(), [])
  d.fact({ type: 'child.ended', data: { executionId: 'other', status: 'completed' } })
  t.equal(d.state.status, 'running')
  d.fact({ type: 'child.ended', data: { executionId: 'c', status: 'failed' } }).checkReplay(t)
  t.equal(d.state.status, 'completed', 'however it ended')
})

t.test('an execution that fails or is cancelled cancels what it does not abandon', async (t) => {
  const steps = [
    of('sub_workflow', 'kept', { workflow: 'b', mode: 'fire_and_forget' }),
    of('sub_workflow', 'wait', { workflow: 'b', mode: 'fire_and_forget', parentClosePolicy: 'wait' }),
    sub(),
  ]
  const d = new Driver(steps).start()
  for (const path of ['kept', 'wait', 's']) started(d, path, path)
  d.take()
  d.fact({ type: 'execution.cancelled', data: {} }).checkReplay(t)
  t.same(d.take().sort(), ['tell_child s cancel', 'tell_child wait cancel'])
})

t.test('a step that begins anew has no child: whoever has it next looks up again', async (t) => {
  const d = started(new Driver([sub()]).start())
  const error = { type: 'TimeoutError', message: 'too long', stepPath: 's' }
  d.fact({ type: 'step.failed', path: 's', data: { error, retryAt: null } })
  d.fact({ type: 'execution.failed', data: { error } })
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['look_up s'])
  t.same(d.pending(), ['look_up s'])
  started(d, 'second')
  t.equal(d.checkReplay(t).state.steps.get('s')!.child, 'second')
})

t.test('a retry after a time out of service asks the children that are known to live, until they tell', async (t) => {
  const d = started(new Driver([sub(), a('x')]).start())
  // Quarantined: that is never folded.
  d.state.status = 'failed'
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['ask_child c'])
  t.same(d.pending(), ['ask_child c'], 'whoever has it next asks again')
  d.fact({ type: 'execution.pause_requested', data: {} })
  t.same(d.pending(), [])
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['tell_child c resume', 'ask_child c'])
  ended(d, 'paid')
  t.same(d.pending(), ['perform x 1'])
})

t.test('after a rollback what nobody waits for is paused with its parent, and what is superseded ends', async (t) => {
  const forget = of('sub_workflow', 'f', { workflow: 'b', mode: 'fire_and_forget', parentClosePolicy: 'cancel' })
  const d = started(new Driver([forget, sub()]).start(), 'f', 'f')
  started(d)
  d.take()
  const children = { kept: ['f'], superseded: ['c'] }
  const data = { checkpointIndex: 0, toSeq: d.state.seq, generation: 1, kept: [], resume: false, children }
  d.fact({ type: 'execution.rolled_back', data })
  t.same(d.take(), ['tell_child c cancel', 'tell_child f pause'])
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take().sort(), ['look_up s', 'tell_child f resume'])
  t.same(Object.keys(d.checkReplay(t).state.children!), ['f'])
})

t.test('a rollback after a time out of service asks the children that it keeps', async (t) => {
  const forget = of('sub_workflow', 'f', { workflow: 'b', mode: 'fire_and_forget', parentClosePolicy: 'wait' })
  const d = started(new Driver([forget, sub()]).start(), 'f', 'f')
  const checkpoint = structuredClone(d.state)
  started(d)
  t.same(regroup(d.state, checkpoint), { kept: ['f'], superseded: ['c'] })
  // Quarantined: that is never folded.
  d.state.status = 'failed'
  const children = regroup(d.state, checkpoint)!
  t.same(children, { kept: ['f'], superseded: ['c'], areDoubtful: true })
  d.take()
  const data = { checkpointIndex: 0, toSeq: d.state.seq, generation: 1, kept: [], resume: true, children }
  d.fact({ type: 'execution.rolled_back', data })
  t.same(d.take().sort(), ['ask_child f', 'look_up s', 'tell_child c cancel', 'tell_child f resume'])
})
