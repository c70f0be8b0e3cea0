import t from 'tap'
import { call, echo, ended, journalOf, latch, run, seen, startEngine, typesOf } from './running-engine.ts'

t.test('a rollback to the last checkpoint completes again when it is resumed', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [echo('one', { value: 1 }), echo('two', { value: 2 })])
  await ended(engine, id)
  await engine.rollbackToCheckpoint(id, 1, { resume: true })
  t.match(await ended(engine, id), { status: 'completed', output: 2 })
  t.equal((await engine.rollbackToCheckpoint(id, 1)).execution.status, 'paused')
  await engine.resumeExecution(id)
  t.match(await ended(engine, id), { status: 'completed', output: 2 })
})

t.test('a pause that the last step overtakes is refused with the status that it met', async (t) => {
  const gate = latch()
  const reached = latch()
  const engine = await startEngine(t, {
    last: async () => {
      reached.open()
      await gate.promise
      return 'end'
    },
  })
  const id = await run(engine, [call('last')])
  await reached.promise
  const pause = engine.pauseExecution(id)
  await seen(engine, id, 'execution.pause_requested')
  gate.open()
  await t.rejects(pause, { code: 'EXECUTION_STATUS_CONFLICT', details: { executionStatus: 'completed' } })
  t.equal((await engine.getExecution(id)).status, 'completed')
  t.notOk((await typesOf(engine, id)).includes('execution.paused'))
})

t.test('what a sibling ended in the same turn is not recorded, and a retry performs it', async (t) => {
  const engine = await startEngine(t)
  const steps = [
    {
      id: 'p',
      name: 'p',
      type: 'parallel',
      config: {
        steps: [
          echo('bad', { fail: { message: 'no' } }),
          { id: 's', name: 's', type: 'sequential', config: { steps: [echo('b'), echo('c')] } },
        ],
      },
    },
  ]
  const id = await run(engine, steps)
  await ended(engine, id)
  t.notOk((await typesOf(engine, id)).includes('step.completed p.s.b'))
  await engine.retryExecution(id)
  t.equal((await ended(engine, id)).status, 'failed', 'it ends again instead of standing still')
})

t.test('signals sent in a crowd are each received once', async (t) => {
  const gate = latch()
  const engine = await startEngine(t, { hold: () => gate.promise.then(() => null) })
  const id = await run(engine, [call('hold')])
  await Promise.all(Array.from({ length: 200 }, (_, i) => engine.signal(id, 'n', i)))
  gate.open()
  await ended(engine, id)
  const received = (await journalOf(engine, id)).filter((event) => event.type === 'signal.received')
  t.same(
    new Set(received.map((event) => (event.data as { signal: { payload: number } }).signal.payload)).size,
    received.length,
  )
})

t.test('a template that fails is an ExpressionError, which no policy repeats by itself', async (t) => {
  const engine = await startEngine(t)
  const id = await run(engine, [echo('x', { value: '{{ nothing }}' }, { retryPolicy: { maxAttempts: 5 } })])
  t.match((await ended(engine, id)).error, { type: 'ExpressionError', attempt: 1, retryable: false, errorId: String })
})
