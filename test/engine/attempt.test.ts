import t from 'tap'
import { ActionError } from '../../src/engine/actions/action.ts'
import { call, echo, ended, journalOf, latch, run, startEngine, typesOf } from './running-engine.ts'

t.test('a step’s timeout aborts the running attempt, and the policy goes on from there', async (t) => {
  const reasons: string[] = []
  const engine = await startEngine(t, {
    slow: ({ attempt, signal }) =>
      attempt === 2
        ? 'second'
        : new Promise((_, reject) => {
            signal.addEventListener('abort', () => {
              reasons.push((signal.reason as ActionError).type)
              reject(signal.reason)
            })
          }),
  })
  const retryPolicy = { maxAttempts: 2, initialIntervalMs: 1 }
  const id = await run(engine, [call('slow', { timeoutMs: 50, retryPolicy })])
  const execution = await ended(engine, id)
  t.equal(execution.output, 'second')
  t.same(reasons, ['TimeoutError'])
  const failed = (await journalOf(engine, id)).find((event) => event.type === 'step.failed')
  t.match(failed, {
    attempt: 1,
    data: { error: { type: 'TimeoutError', stepPath: 'slow', attempt: 1, errorId: String }, retryAt: Number },
  })
})

t.test('the execution’s timeout aborts what runs and fails it', async (t) => {
  const aborted = latch()
  const engine = await startEngine(t, {
    hang: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => aborted.open())),
  })
  const id = await run(engine, [call('hang')], { definition: { timeoutMs: 1_000 } })
  const execution = await ended(engine, id)
  t.match(execution, { status: 'failed', error: { type: 'TimeoutError' } })
  await aborted.promise
  t.equal((await engine.getSteps(id))[0]?.status, 'cancelled')
})

t.test('a composite’s timeout cancels what is inside', async (t) => {
  const aborted = latch()
  const engine = await startEngine(t, {
    hang: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => aborted.open())),
  })
  const id = await run(engine, [
    { id: 'both', name: 'both', type: 'sequential', timeoutMs: 1_000, config: { steps: [call('hang')] } },
  ])
  t.match(await ended(engine, id), { status: 'failed', error: { type: 'TimeoutError', stepPath: 'both' } })
  await aborted.promise
})

t.test('every attempt of a step carries the same idempotency key', async (t) => {
  const keys: string[] = []
  const engine = await startEngine(t, {
    flaky: ({ idempotencyKey, attempt }) => {
      keys.push(idempotencyKey)
      if (attempt < 3) throw new ActionError('ConnectionError', 'refused')
      return 'done'
    },
  })
  const id = await run(engine, [call('flaky', { retryPolicy: { maxAttempts: 3, initialIntervalMs: 1, jitter: 0 } })])
  t.equal((await ended(engine, id)).output, 'done')
  t.same(keys, Array(3).fill(`${id}/0/flaky`))
  t.same(await typesOf(engine, id), [
    'execution.started',
    'step.failed flaky',
    'timer.fired flaky',
    'step.failed flaky',
    'timer.fired flaky',
    'step.completed flaky',
    'execution.completed',
  ])
})

t.test('what is not retryable fails at once and says where', async (t) => {
  const engine = await startEngine(t, {
    broken: () => {
      throw new ActionError('ValidationError', 'no good', { cause: new Error('because') })
    },
  })
  const id = await run(engine, [call('broken', { retryPolicy: { maxAttempts: 5 } })])
  const { error } = await ended(engine, id)
  t.match(error, {
    type: 'ValidationError',
    message: 'no good',
    stepPath: 'broken',
    attempt: 1,
    cause: { message: 'because' },
  })
})

t.test('a failure in a parallel aborts the siblings', async (t) => {
  const aborted = latch()
  const engine = await startEngine(t, {
    hang: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => aborted.open())),
  })
  const steps = [
    { id: 'p', name: 'p', type: 'parallel', config: { steps: [call('hang'), echo('bad', { fail: 'no' })] } },
  ]
  const id = await run(engine, steps)
  t.match(await ended(engine, id), { status: 'failed', error: { stepPath: 'p.bad' } })
  await aborted.promise
})

t.test('an output that is too large fails its step and is not truncated', async (t) => {
  const engine = await startEngine(t, { big: () => 'x'.repeat(3_000) }, { maxPayloadBytes: 2_000 })
  t.match((await ended(engine, await run(engine, [call('big')]))).error, { type: 'PayloadTooLarge', retryable: false })
})

t.test('a state that would grow too large fails the step that makes it so', async (t) => {
  const engine = await startEngine(t, {}, { maxStateBytes: 3_000 })
  const steps = Array.from({ length: 5 }, (_, i) => echo(`s${i}`, { value: 'x'.repeat(1_000) }))
  const execution = await ended(engine, await run(engine, steps))
  t.match(execution.error, { type: 'StateTooLarge' })
})

t.test('what an action returns is what recovery would read', async (t) => {
  const engine = await startEngine(t, {
    odd: () => ({ output: { at: new Date(0), gone: undefined, nan: Number.NaN } as never }),
  })
  const id = await run(engine, [call('odd'), echo('next', { value: '{{ data }}' })])
  t.same((await ended(engine, id)).output, { at: '1970-01-01T00:00:00.000Z', nan: null })
})

t.test('attempts beyond the node’s limit wait in line', async (t) => {
  let running = 0
  let most = 0
  const engine = await startEngine(
    t,
    {
      work: async () => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
        return null
      },
    },
    { maxAttempts: 2 },
  )
  const children = Array.from({ length: 10 }, (_, i) => ({ ...call('work'), id: `w${i}` }))
  const id = await run(engine, [{ id: 'p', name: 'p', type: 'parallel', config: { steps: children } }])
  t.equal((await ended(engine, id)).status, 'completed')
  t.equal(most, 2)
})
