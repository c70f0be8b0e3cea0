import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Definition } from '../client/client.ts'

const written = readFileSync(path.join(import.meta.dirname, '../data-processing-pipeline.json'), 'utf8')

/** The definition as it is written in the file beside, with another place to fetch from. */
export const pipeline = (dataUrl: string): Definition =>
  JSON.parse(written.replace('https://api.example.com/data', dataUrl))

/** Writes what the pipeline's agent made into a table. An attempt that is repeated writes the same rows. */
export const archive: Definition = {
  name: 'Summary Archive',
  description: 'Write the summary of a data set to a table, one row a species',
  inputSchema: {
    type: 'object',
    required: ['executionId', 'summary'],
    properties: { executionId: { type: 'string', format: 'uuid' }, summary: { type: 'object' } },
  },
  steps: [
    {
      id: 'write-summary',
      name: 'Write Summary',
      type: 'action',
      config: {
        type: 'database_query',
        dataSource: 'main',
        query: `INSERT INTO iris_summaries (execution_id, species, records, mean_petal_length, mean_petal_width)
                SELECT $1, name, records, "meanPetalLength", "meanPetalWidth"
                FROM json_to_recordset($2)
                  AS s (name text, records int, "meanPetalLength" numeric, "meanPetalWidth" numeric)
                ON CONFLICT (execution_id, species) DO UPDATE SET records = excluded.records
                RETURNING species`,
        parameters: ['{{ input.executionId }}', '{{ JSON.stringify(input.summary.species) }}'],
        expectedRowCount: { min: 1 },
      },
    },
  ],
}

export const makeTable = `CREATE TABLE IF NOT EXISTS iris_summaries (
  execution_id uuid, species text, records int NOT NULL,
  mean_petal_length numeric(4, 2) NOT NULL, mean_petal_width numeric(4, 2) NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (execution_id, species))`

/** Reads back what one execution's summary became. */
export const report: Definition = {
  name: 'Summary Report',
  description: 'Read the archived summary of one execution',
  steps: [
    {
      id: 'read-summary',
      name: 'Read Summary',
      type: 'action',
      config: {
        type: 'database_query',
        dataSource: 'main',
        readOnly: true,
        query: `SELECT species, records, mean_petal_length, mean_petal_width, recorded_at
                FROM iris_summaries WHERE execution_id = $1 ORDER BY mean_petal_length`,
        parameters: ['{{ input.executionId }}'],
      },
    },
  ],
}

const cairns = 8
const legMs = 350

/** A walk that takes its time, from cairn to cairn. */
export const trail: Definition = {
  name: 'Trail Walk',
  description: 'A longer run, to be paused, resumed and rolled back',
  steps: Array.from({ length: cairns }, (_, index) => ({
    id: `cairn-${index + 1}`,
    name: `Walk to cairn ${index + 1}`,
    type: 'action',
    config: { type: 'echo', value: { cairn: index + 1 }, delayMs: legMs },
  })),
}
