import { spawn } from 'node:child_process'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createTestDatabase } from '../../harness/database.ts'
import { withClient } from '../../harness/server.ts'
import { ended, journalOf, startEngine } from '../running-engine.ts'

// Each mostly waits for the dead node's lease to run out.
t.jobs = 3

t.test('exactlyOnce: killed between the commit and its record, the query is not performed again', async (t) => {
  const { execution, payments, types, completed } = await crash(t, { exactlyOnce: true }, {})
  t.match(execution, { status: 'completed', output: [{ id: 1, amount: '5' }] })
  t.same(payments, [{ id: 1, amount: '5' }])
  t.ok(types.includes('execution.recovered'))
  t.match(completed, [{ data: { output: payments, meta: { rowCount: 1, replayed: true } } }], 'with the recorded rows')
})

t.test('at_least_once: killed there, the query is performed twice', async (t) => {
  const { execution, payments } = await crash(t, {}, { delivery: 'at_least_once' })
  t.match(execution, { status: 'completed', output: [{ id: 2 }] })
  t.equal(payments.length, 2)
})

t.test(
  'at_most_once: killed there, the step fails as StepInterrupted and the query is not performed again',
  async (t) => {
    const { execution, payments, completed } = await crash(t, {}, { delivery: 'at_most_once' })
    t.match(execution, { status: 'failed', error: { type: 'StepInterrupted', stepPath: 'pay', attempt: 1 } })
    t.equal(payments.length, 1)
    t.same(completed, [])
  },
)

/** Runs a step `pay` in a process that dies right after it, and recovers its execution here. */
async function crash(t: Test, config: object, rest: object) {
  const { url } = await createTestDatabase(t)
  const sql = (text: string) => withClient(url, async (client) => (await client.query(text)).rows)
  await sql('CREATE TABLE payments (id serial PRIMARY KEY, amount numeric)')
  const options = { databaseUrl: url, leaseMs: 2_000, targets: { dataSources: { main: { url } } } }
  const before = await startEngine(t, {}, options)
  const query = 'INSERT INTO payments (amount) VALUES (5) RETURNING id, amount'
  const pay = { type: 'database_query', dataSource: 'main', query, ...config }
  const workflow = await before.createWorkflow({
    name: 'payment',
    steps: [{ id: 'pay', name: 'Pay', type: 'action', config: pay, ...rest }],
  })
  // Were it there, it would take the execution from a victim that is slower than its lease.
  await before.stop()
  const died = await runVictim({ DATABASE_URL: url, WORKFLOW_ID: workflow.id })
  t.equal(died, 'SIGKILL', 'it came to the point where it dies')
  const engine = await startEngine(t, {}, options)
  const { items } = await engine.store.listExecutions({ workflowId: workflow.id }, 10)
  const { id } = items[0]!
  const execution = await ended(engine, id)
  const events = await journalOf(engine, id)
  return {
    execution,
    payments: await sql('SELECT id, amount FROM payments ORDER BY id'),
    types: events.map(({ type }) => type),
    completed: events.filter(({ type }) => type === 'step.completed'),
  }
}

function runVictim(environment: Record<string, string>): Promise<NodeJS.Signals | number | null> {
  const victim = spawn(process.execPath, [path.join(import.meta.dirname, 'database-victim.ts')], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return new Promise((resolve) => victim.once('exit', (code, signal) => resolve(signal ?? code)))
}
