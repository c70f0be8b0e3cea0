import t from 'tap'
import { ActionError, failureOf } from '../../src/engine/actions/action.ts'
import { outcomeOf } from '../../src/engine/call-outcome.ts'

const of = (...error: ConstructorParameters<typeof ActionError>) => outcomeOf(failureOf(new ActionError(...error)))

t.test('a target is down when it cannot be reached, stays silent or says that it is away', async (t) => {
  t.equal(of('TimeoutError', ''), 'failed')
  t.equal(of('ConnectionError', ''), 'failed')
  for (const status of [502, 503, 504]) t.equal(of('Http5xx', '', { details: { status } }), 'failed', `${status}`)
  for (const sqlstate of ['08006', '53300', '57P01'])
    t.equal(of('DatabaseError', '', { details: { sqlstate } }), 'failed', sqlstate)
  t.equal(of('AgentError', '', { retryable: true, details: { agent: 'a' } }), 'failed', 'it did not answer')
  for (const status of [503, 529]) t.equal(of('AgentError', '', { details: { status } }), 'failed', `${status}`)
})

t.test('a refusal is an answer', async (t) => {
  for (const status of [500, 501, 505]) t.equal(of('Http5xx', '', { details: { status } }), 'answered', `${status}`)
  t.equal(of('Http4xx', '', { details: { status: 429 } }), 'answered')
  t.equal(of('HttpError', ''), 'answered')
  t.equal(of('PayloadTooLarge', ''), 'answered')
  for (const sqlstate of ['23505', '40001', '57014'])
    t.equal(of('DatabaseError', '', { details: { sqlstate } }), 'answered', sqlstate)
  t.equal(of('DatabaseError', '', { details: { rowCount: 0 } }), 'answered')
  t.equal(of('AgentError', '', { details: { status: 400 } }), 'answered')
  t.equal(of('AgentError', '', { retryable: true, details: { faults: [] } }), 'answered', 'an answer that does not fit')
  t.equal(of('CardDeclined', ''), 'answered', "an action's own error")
})

t.test('what never came to the target says nothing of it', async (t) => {
  for (const type of ['ValidationError', 'ExpressionError', 'InternalError', 'Cancelled', 'StepInterrupted'])
    t.equal(of(type, ''), 'unknown', type)
  t.equal(outcomeOf(failureOf(new Error('a bug'))), 'unknown')
  t.equal(of('ConnectionError', '', { details: { reason: 'private_network', host: 'x' } }), 'unknown')
})
