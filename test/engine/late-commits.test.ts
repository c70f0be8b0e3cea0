import t from 'tap'
import { startCutter } from '../harness/cutter.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'
import { echo, startEngine, typesOf } from './running-engine.ts'

const lock = 4_269_704_499
/** Claims that give an owner wait while somebody holds the lock: evaluated, and not committed. */
const claimsWait = `
  CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(${lock}); RETURN NEW; END $$;
  CREATE TRIGGER wait BEFORE UPDATE ON workflow_executions FOR EACH ROW
    WHEN (OLD.owner IS NULL AND NEW.owner IS NOT NULL) EXECUTE FUNCTION wait()`

t.test('a claim that commits after its node has looked what it owns is found all the same', async (t) => {
  const { url } = await createTestDatabase(t)
  const cutter = await startCutter(t, url)
  const engine = await startEngine(t, {}, { databaseUrl: cutter.url, leaseMs: 10_000 })
  const workflow = await engine.createWorkflow({ name: 'claimed', steps: [echo('a', { value: 'done' })] })
  const id = await withClient(url, async (client) => {
    await client.query(claimsWait)
    await client.query('SELECT pg_advisory_lock($1)', [lock])
    // A start with a key leaves the execution to whoever claims it.
    const executionId = await engine.startExecution(workflow.id, 'test', null, { idempotencyKey: 'once' })
    const isWaiting = `SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
    while ((await client.query(isWaiting)).rowCount === 0);
    const looked = cutter.answered('from "workflow_executions" where "owner"')
    cutter.cut('WITH RECURSIVE alive')
    await looked
    // Its client is gone, and it commits.
    await client.query('SELECT pg_advisory_unlock($1)', [lock])
    return executionId
  })
  t.equal((await engine.waitForEnd(id, 60_000)).output, 'done')
  t.notOk((await typesOf(engine, id)).includes('execution.recovered'), 'in the same life')
})
