import t from 'tap'
import { Type } from 'typebox'
import { ActionError, defineAction, failureOf } from '../../../src/engine/actions/action.ts'
import { echo } from '../../../src/engine/actions/echo.ts'
import { ActionRegistry, builtInActions } from '../../../src/engine/actions/registry.ts'
import { contextOf } from './attempt.ts'

const charge = defineAction({
  type: 'charge_card',
  configSchema: Type.Object(
    {
      amount: Type.Integer({ minimum: 1 }),
      by: Type.Union([
        Type.Object({ kind: Type.Literal('card'), number: Type.String() }, { additionalProperties: false }),
        Type.Object({ kind: Type.Literal('invoice'), days: Type.Integer() }, { additionalProperties: false }),
      ]),
    },
    { additionalProperties: false },
  ),
  secretFields: ['/by/number'],
  perform: ({ amount }, { attempt }) => ({ output: amount * attempt }),
})
const registry = new ActionRegistry([echo, charge])

const faultsOf = (type: string, config: unknown) => {
  try {
    registry.validate(type, config)
    return []
  } catch (error) {
    t.ok(error instanceof ActionError && error.type === 'ValidationError' && !error.retryable)
    return (failureOf(error).details?.faults ?? []) as { pointer: string; message: string }[]
  }
}

t.test('a defined action gets its config typed and is found by its type', async (t) => {
  const config = registry.validate('charge_card', { amount: 2, by: { kind: 'invoice', days: 3 } })
  t.same(await registry.get('charge_card')?.perform(config, contextOf({ attempt: 2 })), { output: 4 })
  t.equal(registry.get('toString'), undefined)
})

t.test(
  'every fault of a config is listed with its pointer, those of a union for the form that was meant',
  async (t) => {
    const byPointer = new Map(
      faultsOf('charge_card', { amount: 0, by: { kind: 'invoice', days: 'x', 'a/b': 1 } }).map((fault) => [
        fault.pointer,
        fault.message,
      ]),
    )
    t.same(Object.fromEntries(byPointer), {
      '/amount': 'must be >= 1',
      '/by/days': 'must be an integer',
      '/by/a~1b': 'is not known here',
    })
    t.same(
      faultsOf('charge_card', {})
        .map(({ pointer }) => pointer)
        .sort(),
      ['/amount', '/by'],
    )
    t.same(faultsOf('charge_card', { amount: 1, by: { kind: 'cash' } }), [
      { pointer: '/by', message: 'has none of the forms that are allowed here' },
    ])
  },
)

t.test('the message of a fault names the action and the places', async (t) => {
  t.throws(() => registry.validate('charge_card', { amount: 1, by: { kind: 'invoice', days: 1 }, x: 1 }), {
    message: 'The config does not fit charge_card: /x is not known here',
  })
})

t.test('an unknown action is a fault that names the known ones', async (t) => {
  t.throws(() => registry.validate('nope', {}), { message: 'There is no action "nope"; there are echo, charge_card' })
})

t.test('shapes tell the compiler what it must know', async (t) => {
  const shape = registry.shapes().get('charge_card')
  t.same(shape?.secretFields, ['/by/number'])
  t.same(shape?.literalFields, [])
  t.same(Object.keys(JSON.parse(JSON.stringify(shape?.configSchema)).properties), ['amount', 'by'])
})

t.test('two actions of one type, and a type that is no name, are refused', async (t) => {
  t.throws(() => new ActionRegistry([echo, echo]), { message: 'Two actions are named "echo"' })
  t.throws(() => defineAction({ ...charge, type: 'with space' }), TypeError)
})

t.test('the built-in actions are there; closing them twice is allowed', async (t) => {
  const { actions, close } = builtInActions()
  t.same(new Set(actions.map(({ type }) => type)), new Set(['echo', 'http_request', 'ai_agent_call', 'database_query']))
  await close()
  await close()
})

t.test('what an action throws becomes a failure with the code of its cause', async (t) => {
  const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
  t.same(failureOf(new ActionError('ConnectionError', 'm', { cause, details: { a: 1 } })), {
    type: 'ConnectionError',
    message: 'm',
    retryable: true,
    details: { a: 1 },
    cause: { type: 'ECONNREFUSED', message: 'refused' },
  })
  t.same(failureOf(new TypeError('oops')), { type: 'InternalError', message: 'oops', retryable: true })
  t.same(failureOf('text'), { type: 'InternalError', message: 'thrown: text', retryable: true })
})

t.test('a type of its own is retryable unless it says otherwise; known types are as their row says', async (t) => {
  t.equal(new ActionError('CardDeclined', '').retryable, true)
  t.equal(new ActionError('CardDeclined', '', { retryable: false }).retryable, false)
  t.equal(new ActionError('Http4xx', '').retryable, false)
  t.equal(new ActionError('Http4xx', '', { retryable: true }).retryable, true)
  t.equal(new ActionError('constructor', '').retryable, true)
})
