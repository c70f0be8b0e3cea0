import t from 'tap'
import { a, Driver, of } from '../driver.ts'

const growing = (config: object = {}) =>
  of('foreach', 'all', { items: '{{ input }}', steps: [a('x')], concurrency: 9, grow: { signal: 'more' }, ...config })

t.test('a list grows by signals while its items run; it ends when all have ended', async (t) => {
  const d = new Driver([growing()], { input: ['a'] }).start()
  t.same(d.take(), ['perform all[0].x 1'])
  d.signal('more', 'b').signal('other', 'c')
  t.same(d.take(), ['perform all[1].x 1'])
  t.same(
    d.state.mailbox.map(({ name }) => name),
    ['other'],
    'what was added has left the mailbox',
  )
  d.complete('all[1].x', 'B').complete('all[0].x', 'A').checkReplay(t)
  t.same(d.state.output, ['A', 'B'])
  t.equal(d.state.percentage, 100)
  t.equal(d.state.status, 'completed')
})

t.test('signals that came before count too, and each sees its item', async (t) => {
  const each = growing({ steps: [a('x', { when: 'item == "early" && index == 1' })] })
  const d = new Driver([a('before'), each], { input: ['one'] }).start()
  d.signal('more', 'early').complete('before')
  t.same(d.take().slice(-1), ['perform all[1].x 1'])
  d.complete('all[1].x', 'E').checkReplay(t)
  t.same(d.state.output?.[1 as never], 'E')
})

t.test('with an end it waits for that; what comes after the end is not for it', async (t) => {
  const d = new Driver([growing({ grow: { signal: 'more', end: 'enough' } })], { input: [] }).start()
  t.equal(d.status('all'), 'running', 'without an item it waits')
  d.signal('more', 'a').complete('all[0].x', 'A')
  t.equal(d.status('all'), 'running')
  t.ok(d.state.percentage < 100)
  d.signal('more', 'b').signal('enough').signal('more', 'c').complete('all[1].x', 'B').checkReplay(t)
  t.same(d.state.output, ['A', 'B'])
  t.same(
    d.state.mailbox.map(({ name }) => name),
    ['more'],
  )
})

t.test('two lists that grow by the same signal share what comes: each item goes to one', async (t) => {
  const both = [growing(), { ...growing({ steps: [a('y')] }), id: 'others' }]
  const d = new Driver([of('parallel', 'p', { steps: both })], { input: ['a'] }).start()
  d.take()
  d.signal('more', 'b')
  t.equal(d.take().length, 1)
  t.same(d.checkReplay(t).state.mailbox, [])
})

t.test('progress never falls when a list grows', async (t) => {
  const d = new Driver([growing({ grow: { signal: 'more', end: 'enough' } })], { input: ['a', 'b'] }).start()
  let last = 0
  const rises = () => {
    t.ok(d.state.percentage >= last, `${d.state.percentage} %`)
    last = d.state.percentage
  }
  d.complete('all[0].x')
  rises()
  for (let i = 0; i < 5; i++) d.signal('more', i)
  rises()
  for (let i = 1; i < 7; i++) {
    d.complete(`all[${i}].x`)
    rises()
  }
  d.signal('enough').checkReplay(t)
  t.equal(d.state.percentage, 100)
})

t.test('a pause keeps what is added for the resume; a retry goes on listening', async (t) => {
  const d = new Driver([growing()], { input: ['a'] }).start()
  d.fact({ type: 'execution.pause_requested', data: {} }).signal('more', 'b')
  t.notOk(d.state.steps.has('all[1]'))
  d.complete('all[0].x', 'A')
  d.fact({ type: 'execution.resumed', data: {} }).fail('all[1].x')
  t.equal(d.state.status, 'failed')
  d.fact({ type: 'execution.retried', data: {} }).signal('more', 'c')
  d.complete('all[1].x', 'B').complete('all[2].x', 'C').checkReplay(t)
  t.same(d.state.output, ['A', 'B', 'C'])
})

const paged = (config: object = {}) =>
  of('foreach', 'all', { page: [a('fetch')], steps: [a('x')], concurrency: 2, collect: 'none', ...config })

t.test('pages are fetched when the items run out, and only the items of a page are held', async (t) => {
  const d = new Driver([paged()]).start()
  t.same(d.take(), ['perform all[page0].fetch 1'])
  let most = 0
  for (let page = 0; page < 20; page++) {
    const next = page < 19 ? { cursor: page + 1 } : {}
    d.complete(`all[page${page}].fetch`, { items: ['p', 'q', 'r'], next: next.cursor ?? null })
    for (const place of [0, 1, 2]) d.complete(`all[${page * 3 + place}].x`)
    const frame = d.state.steps.get('all')!.frame as unknown as { items: unknown[] }
    most = Math.max(most, d.state.steps.size + frame.items.length)
    if (page === 0) t.equal(d.state.steps.get('all')!.frame!.type, 'each')
  }
  t.ok(most < 15, `${most} at the most`)
  d.checkReplay(t)
  t.same(d.state.output, { total: 60, completed: 60, failed: 0 })
  t.equal(d.state.percentage, 100)
})

t.test('a page sees the cursor that the one before it gave, its items their place among all', async (t) => {
  const each = paged({
    page: [a('fetch', { when: 'cursor == null || cursor == 7' })],
    steps: [a('x', { when: 'item == index' })],
    collect: 'outputs',
  })
  const d = new Driver([each]).start()
  d.complete('all[page0].fetch', { items: [0], next: 7 }).complete('all[0].x', 'A')
  d.complete('all[page1].fetch', { items: [1] })
    .complete('all[1].x', 'B')
    .checkReplay(t)
  t.same(d.state.output, ['A', 'B'])
})

t.test('the next page is fetched while the last items of this one are under way', async (t) => {
  const d = new Driver([paged()]).start()
  d.complete('all[page0].fetch', { items: ['a', 'b', 'c'], next: 1 })
  d.take()
  d.complete('all[0].x')
  t.same(d.take(), ['perform all[2].x 1', 'perform all[page1].fetch 1'])
  d.complete('all[page1].fetch', { items: ['d'] })
    .complete('all[1].x')
    .complete('all[2].x')
    .complete('all[3].x')
  t.same(d.checkReplay(t).state.output, { total: 4, completed: 4, failed: 0 })
})

t.test('a page that fails, or is none, fails the step; retry fetches it again', async (t) => {
  const d = new Driver([paged()]).start()
  d.complete('all[page0].fetch', { items: ['a', 'b'], next: 1 }).complete('all[0].x')
  d.take()
  d.fail('all[page1].fetch')
  t.same(d.take(), ['abort all[1].x'])
  t.equal(d.state.status, 'failed')
  d.fact({ type: 'execution.retried', data: {} })
  t.same(d.take().sort(), ['perform all[1].x 1', 'perform all[page1].fetch 1'])
  d.complete('all[page1].fetch', { items: [] }).complete('all[1].x').checkReplay(t)
  t.equal(d.state.status, 'completed')
  const bad = new Driver([paged()]).start().complete('all[page0].fetch', { rows: [] })
  t.match(bad.checkReplay(t).state.error, { type: 'ValidationError', message: /must be \{items, next\}/ })
})
