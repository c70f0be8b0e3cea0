import { randomUUID } from 'node:crypto'
import t from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { snapshotOf } from '../../src/engine/core/snapshot.ts'
import { completed, openHistory, openRecorder, sequence } from './recorder.ts'

const letters = [...'abcdefghijklmno']

t.test('an unknown execution is EXECUTION_NOT_FOUND', async (t) => {
  const history = openHistory(await openRecorder(t))
  const id = randomUUID()
  const reads: (() => Promise<unknown>)[] = [
    () => history.progress(id),
    () => history.steps(id),
    () => history.checkpoints(id),
    () => history.load(id),
  ]
  for (const read of reads) await t.rejects(read, { code: 'EXECUTION_NOT_FOUND' })
})

t.test('progress is current as of the call: what was committed before it is in it', async (t) => {
  const recorder = await openRecorder(t)
  const history = openHistory(recorder)
  const id = await recorder.begin()
  t.match(await history.progress(id), {
    status: 'running',
    completedSteps: 0,
    percentage: 0,
    lastSeq: 1,
    currentStep: { id: 'a' },
  })
  await recorder.complete(id, ['a'])
  t.match(await history.progress(id), {
    completedSteps: 1,
    percentage: 33,
    lastSeq: 2,
    currentStep: { id: 'b', number: 2 },
  })
  await recorder.complete(id, ['b', 'c'])
  await recorder.record(id, { type: 'execution.completed', data: {} })
  t.match(await history.progress(id), {
    status: 'completed',
    completedSteps: 3,
    percentage: 100,
    lastSeq: 5,
    currentStep: null,
  })
  t.same(
    (await history.steps(id)).map((step) => step.status),
    ['completed', 'completed', 'completed'],
  )
})

t.test('a cached state reads only what was committed since', async (t) => {
  const recorder = await openRecorder(t, sequence(letters))
  const after: number[] = []
  const history = openHistory(recorder, {
    store: {
      eventsAfter: (id, seq, ...rest) => {
        after.push(seq)
        return recorder.store.eventsAfter(id, seq, ...rest)
      },
      findExecution: (id) => {
        after.push(-1)
        return recorder.store.findExecution(id)
      },
    },
  })
  const id = await recorder.begin()
  await recorder.complete(id, letters.slice(0, 5))
  await history.progress(id)
  await recorder.complete(id, letters.slice(5, 7))
  const progress = await history.progress(id)
  t.same(after, [-1, 0, 6])
  t.equal(progress.completedSteps, 7)
})

t.test('a history longer than a page is folded page by page', async (t) => {
  const ids = Array.from({ length: 300 }, (_, i) => `s${i}`)
  const recorder = await openRecorder(t, sequence(ids))
  const pages: number[] = []
  const history = openHistory(recorder, {
    store: {
      eventsAfter: async (...call) => {
        const page = await recorder.store.eventsAfter(...call)
        pages.push(page.length)
        return page
      },
    },
  })
  const id = await recorder.begin()
  await recorder.complete(id, ids)
  t.equal((await history.progress(id)).completedSteps, 300)
  t.ok(pages.length > 1 && Math.max(...pages) < 301, `pages of ${pages}`)
})

t.test(
  'however many ask at once, the store is asked twice, and everyone gets what was committed before he asked',
  async (t) => {
    const recorder = await openRecorder(t)
    let loads = 0
    const history = openHistory(recorder, {
      store: {
        eventsAfter: (...call) => {
          loads += 1
          return recorder.store.eventsAfter(...call)
        },
      },
    })
    const id = await recorder.begin()
    const first = history.progress(id)
    await recorder.complete(id, ['a'])
    const others = await Promise.all(Array.from({ length: 50 }, () => history.progress(id)))
    await first
    t.ok(loads <= 3, `${loads} queries`)
    t.ok(others.every((progress) => progress.lastSeq === 2))
  },
)

t.test('a rollback supersedes what came after its checkpoint', async (t) => {
  const recorder = await openRecorder(t)
  const history = openHistory(recorder)
  const id = await recorder.begin()
  await recorder.complete(id, ['a', 'b'])
  t.match(await history.progress(id), { completedSteps: 2 }, 'cached before the rollback')
  await recorder.rollBack(id, history, 0, 2)
  t.match(await history.progress(id), { completedSteps: 1, lastSeq: 4, currentStep: { id: 'b' } })
  await recorder.complete(id, ['b'], 'second time')
  t.match(await history.progress(id), { completedSteps: 2, lastSeq: 5 })
  const checkpoints = await history.checkpoints(id)
  t.match(checkpoints, [
    { index: 0, seq: 2 },
    { index: 1, seq: 5 },
  ])
  t.match((await history.checkpoint(id, 1)).state.steps, { b: { output: 'second time' } })
  t.same((await openHistory(recorder).progress(id)).steps, (await history.progress(id)).steps, 'a cold history agrees')
})

t.test('a rollback of a rollback leaves what the last one says', async (t) => {
  const recorder = await openRecorder(t, sequence(letters))
  const history = openHistory(recorder)
  const id = await recorder.begin()
  await recorder.complete(id, ['a', 'b', 'c']) // seq 2, 3, 4
  await recorder.rollBack(id, history, 1, 3) // 5
  await recorder.complete(id, ['c', 'd']) // 6, 7
  await recorder.rollBack(id, history, 0, 2) // 8
  await recorder.complete(id, ['b'], 'third') // 9
  for (const reader of [history, openHistory(recorder)]) {
    t.match(await reader.progress(id), { completedSteps: 2, lastSeq: 9, currentStep: { id: 'c' } })
    t.match(await reader.checkpoints(id), [
      { index: 0, seq: 2 },
      { index: 1, seq: 9 },
    ])
  }
})

t.test('an effective snapshot saves the reading of what came before it, a superseded one is passed over', async (t) => {
  const recorder = await openRecorder(t, sequence(letters))
  const read: JournalEvent[] = []
  const counting = {
    eventsAfter: async (...call: Parameters<typeof recorder.store.eventsAfter>) => {
      const page = await recorder.store.eventsAfter(...call)
      read.push(...page)
      return page
    },
  }
  const id = await recorder.begin('input')
  await recorder.complete(id, ['a', 'b', 'c', 'd']) // seq 2 to 5
  const history = openHistory(recorder)
  for (const seq of [3, 5]) {
    const { state } = await history.load(id, seq)
    const image = JSON.parse(JSON.stringify(snapshotOf(state)))
    await recorder.store.insertSnapshot({ executionId: id, seq, at: image.at, state: image, createdAt: Date.now() })
  }
  await recorder.complete(id, ['e']) // 6
  t.match(await openHistory(recorder, { store: counting }).progress(id), { completedSteps: 5, lastSeq: 6 })
  t.same(
    read.map((event) => event.seq),
    [6],
  )

  await recorder.rollBack(id, history, 2, 4) // 7; the snapshot of seq 5 is superseded
  await recorder.complete(id, ['d'], 'again') // 8
  read.length = 0
  const cold = openHistory(recorder, { store: counting })
  t.match(await cold.progress(id), { completedSteps: 4, lastSeq: 8 })
  t.same(
    read.map((event) => event.seq),
    [4, 7, 8],
  )
  t.equal((await cold.load(id)).state.input, 'input')
})

t.test('the state at an earlier seq is what it was then', async (t) => {
  const recorder = await openRecorder(t)
  const history = openHistory(recorder)
  const id = await recorder.begin()
  await recorder.complete(id, ['a', 'b'])
  await recorder.rollBack(id, history, 0, 2)
  t.match((await history.load(id, 3)).state, { seq: 3, completedLeaves: 2, generation: 0 })
  t.match((await history.load(id)).state, { seq: 4, completedLeaves: 1, generation: 1 })
})

t.test('a state handed out for a takeover is the taker’s own', async (t) => {
  const recorder = await openRecorder(t)
  const history = openHistory(recorder)
  const id = await recorder.begin()
  const { state } = await history.load(id)
  state.status = 'cancelled'
  state.steps.clear()
  t.match(await history.progress(id), { status: 'running', currentStep: { id: 'a' } })
})

t.test('a checkpoint that never existed is not found, one that is no longer kept is gone', async (t) => {
  const recorder = await openRecorder(t, sequence(letters, 3))
  const history = openHistory(recorder)
  const id = await recorder.begin()
  await recorder.complete(id, letters.slice(0, 6))
  t.same(
    (await history.checkpoints(id)).map((checkpoint) => checkpoint.index),
    [3, 4, 5],
  )
  await t.rejects(history.checkpoint(id, 6), { code: 'CHECKPOINT_NOT_FOUND' })
  await t.rejects(history.checkpoint(id, -1), { code: 'CHECKPOINT_NOT_FOUND' })
  await t.rejects(history.checkpoint(id, 2), { code: 'CHECKPOINT_GONE', details: { oldestIndex: 3 } })
  const { state, ...checkpoint } = await history.checkpoint(id, 4)
  t.match(checkpoint, { index: 4, seq: 6, path: 'e', stepId: 'e' })
  t.same(Object.keys(state.steps), ['a', 'b', 'c', 'd', 'e', 'f'], 'all that was reached there')
  t.match(state.steps, { e: { status: 'completed', output: 'e' }, f: { status: 'running' } })
})

t.test('a quarantined execution is shown failed, with the steps as far as they came', async (t) => {
  const recorder = await openRecorder(t)
  const history = openHistory(recorder)
  const id = await recorder.begin()
  await recorder.complete(id, ['a'])
  await recorder.record(id, {
    type: 'execution.quarantined',
    data: { error: { type: 'CrashLoop', message: 'five times' } },
  })
  t.match(await history.progress(id), { status: 'failed', currentStep: null, completedSteps: 1, lastSeq: 3 })
})

t.test('a history that cannot be folded leaves what the row says', async (t) => {
  const recorder = await openRecorder(t)
  const id = await recorder.begin()
  await recorder.complete(id, ['a'])
  // No such step in the plan of the reader.
  const history = openHistory(Object.assign(Object.create(recorder), { plan: sequence(['x', 'y']) }))
  t.match(await history.progress(id), { status: 'running', steps: [], lastSeq: 2, totalSteps: 2 })
  const reads: (() => Promise<unknown>)[] = [
    () => history.steps(id),
    () => history.checkpoints(id),
    () => history.checkpoint(id, 0),
    () => history.load(id),
  ]
  for (const read of reads) await t.rejects(read, { code: 'HISTORY_INVALID' })
})

t.test('a hole in the journal is never folded over', async (t) => {
  const recorder = await openRecorder(t)
  const id = await recorder.begin()
  await recorder.complete(id, ['a', 'b'])
  const history = openHistory(recorder, {
    store: {
      eventsAfter: async (...call) => (await recorder.store.eventsAfter(...call)).filter((event) => event.seq !== 1),
    },
  })
  await t.rejects(() => history.steps(id), { code: 'HISTORY_INVALID', message: /seq 1 on are missing/ })
})

t.test('what fails halfway is not found in the cache', async (t) => {
  const recorder = await openRecorder(t)
  let isBroken = false
  const history = openHistory(recorder, {
    store: {
      eventsAfter: (...call) => {
        if (isBroken) return Promise.reject(new Error('the connection broke'))
        return recorder.store.eventsAfter(...call)
      },
    },
  })
  const id = await recorder.begin()
  await history.progress(id)
  isBroken = true
  await t.rejects(history.progress(id), /the connection broke/)
  isBroken = false
  await recorder.complete(id, ['a'])
  t.match(await history.progress(id), { completedSteps: 1 })
})

t.test('the time that is left comes from the medians of the workflow, and is unknown without them', async (t) => {
  const recorder = await openRecorder(t)
  const id = await recorder.begin()
  await recorder.complete(id, ['a'])
  t.match(await openHistory(recorder).progress(id), { estimatedRemainingMs: null, estimatedCompletionAt: null })
  const medians = new Map([
    ['a', 1_000],
    ['b', 86_400_000],
    ['c', 5_000],
  ])
  const { estimatedRemainingMs } = await openHistory(recorder, { medians }).progress(id)
  t.ok(estimatedRemainingMs! > 5_000 && estimatedRemainingMs! <= 86_405_000)
})

t.test('large outputs do not make large pages', async (t) => {
  const ids = Array.from({ length: 150 }, (_, i) => `s${i}`)
  const recorder = await openRecorder(t, sequence(ids))
  const pages: number[] = []
  const history = openHistory(recorder, {
    store: {
      eventsAfter: async (...call) => {
        const page = await recorder.store.eventsAfter(...call)
        pages.push(page.length)
        return page
      },
    },
  })
  const id = await recorder.begin()
  const output = 'x'.repeat(100_000)
  for (let i = 0; i < ids.length; i += 10)
    await recorder.record(id, ...ids.slice(i, i + 10).map((path) => completed(path, output)))
  t.equal((await history.progress(id)).completedSteps, 150)
  t.ok(Math.max(...pages.slice(1)) <= 11, `pages of ${pages}`)
})
