import pg from 'pg'
import t from 'tap'
import { classify } from '../../src/repository/classify.ts'

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
