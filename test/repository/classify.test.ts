import pg from 'pg'
import t from 'tap'
import { classify, isUnavailable } from '../../src/repository/classify.ts'

function databaseError(code: string, constraint?: string): Error {
  return Object.assign(new pg.DatabaseError('it failed', 0, 'error'), { code, constraint })
}

t.test('what may pass is sent again, whatever the cause', async (t) => {
  for (const code of [
    '08006',
    '57P01',
    '57P02',
    '57P03',
    '53300',
    '53100',
    '40001',
    '40P01',
    '25006',
    '55P03',
    '57014',
    '42501',
  ]) {
    t.equal(classify(databaseError(code)), 'retry', code)
  }
  t.equal(classify(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })), 'retry')
  t.equal(classify(new Error('Connection terminated unexpectedly')), 'retry')
})

t.test('what these very rows are to blame for is the fault of the data', async (t) => {
  for (const code of ['22021', '22P02', '23502', '23514', '54000']) t.equal(classify(databaseError(code)), 'data', code)
  t.equal(classify(databaseError('23505', 'workflow_executions_pkey')), 'data')
  t.equal(classify(new RangeError('Invalid string length')), 'data')
})

t.test('a row that somebody else wrote into a history of ours is an alarm', async (t) => {
  t.equal(classify(databaseError('23505', 'execution_events_pkey')), 'alarm')
})

t.test(
  'a connection that is broken or refused, and a server that takes nothing just now, are worth waiting for',
  async (t) => {
    // Node's names for what befell the socket; some have the length of an SQLSTATE.
    for (const code of [
      'EPIPE',
      'ECONNRESET',
      'ECONNREFUSED',
      'ETIMEDOUT',
      'ENOENT',
      'ENOTFOUND',
      'EAI_AGAIN',
      'EHOSTUNREACH',
    ])
      t.ok(isUnavailable(Object.assign(new Error(`write ${code}`), { code })), code)
    for (const code of ['08006', '53100', '53300', '57P01', '57P03', '25006', '25P03'])
      t.ok(isUnavailable(databaseError(code)), code)
    for (const message of [
      'Connection terminated unexpectedly',
      'timeout exceeded when trying to connect',
      'timeout expired',
    ])
      t.ok(isUnavailable(new Error(message)), message)
  },
)

t.test('what waiting does not mend is not', async (t) => {
  for (const code of ['42P01', '42501', '22P02', '57014']) t.notOk(isUnavailable(databaseError(code)), code)
  t.notOk(isUnavailable(new TypeError('x is not a function')))
})
