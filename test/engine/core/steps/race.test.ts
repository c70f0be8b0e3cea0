import t from 'tap'
import { a, Driver, gate, of, seq } from '../driver.ts'

const signal = (id: string, name: string) => of('wait_for_signal', id, { signal: name })
const offer = (rest: object = {}) =>
  of('race', 'offer', {
    branches: [
      { name: 'accepted', steps: [signal('acceptance', 'accept'), a('ship'), a('bill')] },
      { name: 'declined', steps: [signal('refusal', 'decline'), a('close')] },
      { name: 'expired', steps: [of('wait', 'patience', { durationMs: 1_000 }), a('remind')] },
    ],
    ...rest,
  })

t.test('the branch whose first step is completed first wins, the others are withdrawn before it goes on', async (t) => {
  const d = new Driver([offer(), a('after')]).start()
  t.same(d.take(), ['set_timer wait offer[expired].patience 2000'])
  d.signal('accept', { by: 'Ada' })
  t.same(d.take(), ['clear_timer wait offer[expired].patience', 'perform offer[accepted].ship 1'])
  t.equal(d.status('offer[declined].refusal'), 'cancelled')
  t.equal(d.state.percentage, 38, 'of one half: two branches of three, and a third of the other')
  d.signal('decline').passTime(5_000)
  d.complete('offer[accepted].ship').complete('offer[accepted].bill', 'invoice')
  t.same(d.take(), ['perform offer[accepted].bill 1', 'perform after 1'])
  d.complete('after').checkReplay(t)
  t.equal(d.state.percentage, 100)
})

t.test('the output names the winner and what it came to', async (t) => {
  const d = new Driver([offer()]).start().passTime(1_000)
  d.complete('offer[expired].remind', 'mail').checkReplay(t)
  t.same(d.state.output, { winner: 'expired', output: 'mail' })
})

t.test('of two signals that are there already the one of the branch that is written first wins', async (t) => {
  const d = new Driver([a('x'), offer()]).start()
  d.signal('decline').signal('accept').complete('x')
  t.equal(d.status('offer[accepted].ship'), 'running')
  t.equal(d.status('offer[declined]'), 'cancelled')
  t.same(
    d.state.mailbox.map(({ name }) => name),
    ['decline'],
    'the other signal is kept for whoever takes it',
  )
  d.checkReplay(t)
})

const mirrors = (rest: object = {}) =>
  of('race', 'r', { branches: [{ steps: [a('x'), a('x2')] }, { steps: [a('y'), a('y2')] }], ...rest })

t.test('decided by all steps, the branch that is completed first wins', async (t) => {
  const d = new Driver([mirrors({ decidedBy: 'all_steps' })]).start()
  d.complete('r[0].x').complete('r[1].y')
  t.equal(d.status('r[0].x2'), 'running')
  d.take()
  d.complete('r[1].y2', 'Y').checkReplay(t)
  t.same(d.take(), ['abort r[0].x2'])
  t.same(d.state.output, { winner: '1', output: 'Y' })
})

t.test('a branch that fails before it has won drops out; when all have, the race fails as the first did', async (t) => {
  const d = new Driver([mirrors()]).start()
  d.fail('r[0].x', { error: { type: 'First' } })
  t.equal(d.state.status, 'running')
  d.fail('r[1].y', { error: { type: 'Second' } })
  t.match(d.state.error, { type: 'First', stepPath: 'r[0].x' })
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform r[0].x 1', 'perform r[1].y 1'])
  d.complete('r[1].y').complete('r[1].y2', 'Y').checkReplay(t)
  t.same(d.state.output, { winner: '1', output: 'Y' })
})

t.test('the winner that fails fails the race, and alone begins again at a retry', async (t) => {
  const d = new Driver([mirrors()]).start()
  d.complete('r[0].x').fail('r[0].x2', { error: { type: 'Late' } })
  t.match(d.state.error, { type: 'Late' })
  d.take()
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take(), ['perform r[0].x2 1'])
  d.complete('r[0].x2', 'X').checkReplay(t)
  t.same(d.state.output, { winner: '0', output: 'X' })
})

t.test('a branch in which nothing is completed was not on offer', async (t) => {
  const guarded = of('race', 'r', {
    branches: [{ steps: [gate('open', 'input.open'), a('x')] }, { steps: [a('y', { when: '!input.open' })] }],
  })
  const d = new Driver([guarded], { input: { open: true } }).start()
  t.same(d.take(), ['perform r[0].x 1'], 'a gate lets in, and decides nothing')
  d.complete('r[0].x', 'X').checkReplay(t)
  t.same(d.state.output, { winner: '0', output: 'X' })
  const none = new Driver([
    of('race', 'r', { branches: [0, 1].map((n) => ({ steps: [a(`x${n}`, { when: 'false' })] })) }),
  ])
  t.same(none.start().checkReplay(t).state.output, { winner: null, output: null })
})

t.test('a race within a loop or a sequence that ends early counts once', async (t) => {
  const d = new Driver([seq('s', [mirrors(), of('complete', 'done', { scope: 's' }), a('never')]), a('after')]).start()
  d.complete('s.r[0].x').complete('s.r[0].x2')
  t.equal(d.state.percentage, 50)
  d.complete('after').checkReplay(t)
  t.equal(d.state.status, 'completed')
})

t.test('a pause holds a race, and what its winner would begin', async (t) => {
  const d = new Driver([mirrors()]).start()
  d.fact({ type: 'execution.pause_requested', data: {} }).complete('r[1].y')
  t.equal(d.state.status, 'paused')
  t.equal(d.status('r[0]'), 'cancelled')
  d.take()
  d.fact({ type: 'execution.resumed', data: {} })
  t.same(d.take(), ['perform r[1].y2 1'])
  d.complete('r[1].y2').checkReplay(t)
})
