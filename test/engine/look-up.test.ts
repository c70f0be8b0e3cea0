/** What the database says of a step's needs: asked again while it cannot answer, ever more rarely; a bug is the step's failure. */
import t from 'tap'
import { askAgainIn, isWorthAsking } from '../../src/engine/look-up.ts'
import { openStorage } from '../../src/engine/storage.ts'
import { CairnError } from '../../src/errors.ts'
import { ended, run, startEngine } from './running-engine.ts'

/** An engine whose look-ups of workflows by name fail with these errors first. */
const failing = (errors: Error[]): { openStorage: typeof openStorage } => ({
  async openStorage(settings) {
    const storage = await openStorage(settings)
    const { receivers } = storage.store
    storage.store.receivers = async (...given) => {
      const error = errors.shift()
      if (error !== undefined) throw error
      return receivers(...given)
    }
    return storage
  },
})

const emit = { id: 'tell', type: 'emit', config: { signal: 'news', to: { correlationId: 'nobody' } } }
const away = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

t.test('it waits twice as long each time, 30 s at most, less a random part', async (t) => {
  t.same(
    [1, 2, 3, 7, 100].map((failures) => askAgainIn(failures, 0)),
    [500, 1_000, 2_000, 30_000, 30_000],
  )
  t.equal(askAgainIn(1, 0.5), 375)
})

t.test('what may pass by is asked again; what is wrong is not', async (t) => {
  t.ok(isWorthAsking(away()))
  t.ok(isWorthAsking(new CairnError('DATABASE_UNAVAILABLE')))
  t.notOk(isWorthAsking(new CairnError('WORKFLOW_NOT_FOUND', ['w'])))
  t.notOk(isWorthAsking(new TypeError('x is undefined')))
})

t.test('a database that does not answer at first is asked again', async (t) => {
  const engine = await startEngine(t, {}, {}, failing([away(), new CairnError('DATABASE_UNAVAILABLE')]))
  t.match(await ended(engine, await run(engine, [emit])), { status: 'completed' })
})

t.test('a bug fails the step, and nothing asks for ever', async (t) => {
  const engine = await startEngine(t, {}, {}, failing([new TypeError('x is undefined')]))
  t.match((await ended(engine, await run(engine, [emit]))).error, {
    type: 'InternalError',
    message: 'a bug in the engine: x is undefined',
    stepPath: 'tell',
  })
})
