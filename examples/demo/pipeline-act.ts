import assert from 'node:assert/strict'
import type { CairnClient, Execution } from '../client/client.ts'
import { watch } from '../client/watch.ts'
import type { Summary } from './agent-stub.ts'
import { archive, pipeline, report } from './definitions.ts'
import { heading, say, table } from './narration.ts'

/** Mean petal length in cm of R's `datasets::iris`. */
const published = { setosa: 1.46, versicolor: 4.26, virginica: 5.55 }

/** Runs the pipeline; answers with the execution's id and the agent's summary. */
export async function runPipeline(
  client: CairnClient,
  dataUrl: string,
  isStub: boolean,
): Promise<{ executionId: string; summary: Summary }> {
  heading('Data Processing Pipeline')
  const workflow = await client.publish(pipeline(dataUrl))
  const { id } = await client.start(workflow.id, { input: { dataset: 'iris' }, triggeredBy: 'npm run demo' })
  say(`version ${workflow.version}, execution ${id}`)
  const events = await watch(client.url, id)

  const execution = completed(await client.execution(id))
  const summary = execution.output as Summary
  const shown = events.map((event) => event.percentage)
  assert.deepEqual(
    shown,
    shown.toSorted((a, b) => a - b),
    'The percentage fell',
  )
  assert.equal(shown.at(-1), 100, 'The WebSocket did not say 100 %')
  if (isStub) {
    assert.equal(summary.records, 150, 'Not all records were counted')
    const means = Object.fromEntries(summary.species.map(({ name, meanPetalLength }) => [name, meanPetalLength]))
    assert.deepEqual(means, published, 'The means are not those of the data set')
  }
  say(`The agent says: ${summary.conclusion}`)
  return { executionId: id, summary }
}

/** Writes the summary to a table, in a workflow of its own. */
export async function archiveSummary(client: CairnClient, executionId: string, summary: Summary): Promise<void> {
  heading('Summary Archive: a database step writes the result to a table')
  const workflow = await client.publish(archive)
  const { id } = await client.start(workflow.id, { input: { executionId, summary }, triggeredBy: 'npm run demo' })
  say(`version ${workflow.version}, execution ${id}`)
  await watch(client.url, id)
  const { output } = completed(await client.execution(id))
  assert.equal((output as unknown[]).length, summary.species.length, 'Not every species was written')
}

/** Asks the table what it holds now. */
export async function readTable(client: CairnClient, executionId: string, summary: Summary): Promise<void> {
  heading('Table iris_summaries, as it is now')
  const { id } = await client.publish(report)
  const { output } = completed(await client.start(id, { input: { executionId }, waitMs: 15_000 }))
  const rows = output as { species: string; records: number; mean_petal_length: string; mean_petal_width: string }[]
  assert.deepEqual(
    rows.map((row) => [row.species, row.records, Number(row.mean_petal_length)]),
    summary.species.map((row) => [row.name, row.records, row.meanPetalLength]),
    'The table does not hold what the agent said',
  )
  table([Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row))])
}

function completed(execution: Execution): Execution {
  const { id, status, error } = execution
  assert.ok(status === 'completed', `Execution ${id} is ${status}: ${error?.type} ${error?.message}`)
  return execution
}
