import t from 'tap'
import { insertSleepers, sleeperDefinition } from '../../perf/sleeper-rows.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { journalOf, seen, startEngine } from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { withClient } from '../harness/server.ts'

const sleepMs = 3_600_000

/** Row and journal without what differs from one execution to the next: times relative to the due time, and ids. */
async function written(engine: WorkflowEngine, executionId: string) {
  const row = (await engine.store.findExecution(executionId))!
  const events = await journalOf(engine, executionId)
  const due = row.wakeAt
  const plain = JSON.stringify({ row, events })
    .replaceAll(executionId, 'the execution')
    .replaceAll(String(due), '"due"')
    .replaceAll(/"errorId":"[^"]*"/g, '"errorId":"some"')
    .replaceAll(/"durationMs":[0-9.]+/g, '"durationMs":0')
    .replaceAll(/"(at|createdAt|startedAt|updatedAt)":\d+/g, '"$1":"then"')
  return JSON.parse(plain)
}

t.test('sleepers of the benchmark are written as the engine writes them, and wake', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const engine = await startEngine(t, {}, { databaseUrl })
  const { id: workflowId } = await engine.createWorkflow(sleeperDefinition(sleepMs))
  const real = await engine.startExecution(workflowId, 'perf', null)
  await seen(engine, real, 'execution.parked')

  const count = 3
  await withClient(databaseUrl, (client) =>
    insertSleepers(client, { workflowId, count, dueFrom: Date.now() + sleepMs, overMs: 1_000 }),
  )
  const { items } = await engine.store.listExecutions({ workflowId }, 10)
  const made = items.map((item) => item.id).filter((executionId) => executionId !== real)
  t.equal(made.length, count)
  const expected = await written(engine, real)
  for (const executionId of made) t.same(await written(engine, executionId), expected)

  await withClient(databaseUrl, (client) =>
    insertSleepers(client, { workflowId, count: 1, dueFrom: Date.now(), overMs: 0 }),
  )
  const known = new Set([real, ...made])
  const due = (await engine.store.listExecutions({ workflowId }, 10)).items.find((item) => !known.has(item.id))!
  t.match(await engine.waitForEnd(due.id, 60_000), { status: 'completed', output: 'awake' })
})
