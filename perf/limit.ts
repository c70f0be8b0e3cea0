/**
 * The limit: how fast can the rows of a durable engine be written at all, from Node, to this PostgreSQL? A bare writer with no
 * engine behind it: one journal row a step, the execution's row at start and end only, group commit by one
 * `INSERT … SELECT FROM unnest(…)` a flush, the next flush gathering meanwhile, executions split over two connections. What
 * Cairn does beside that (definitions, state, templates, actions, subscribers) is the difference.
 */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { v7 as uuidv7 } from 'uuid'
import { connect, walBytes, withDatabase } from './database.ts'
import { runAlone } from './report.ts'
import { type Figures, type Load, measure, OUTPUT_BYTES, type Program, STEPS } from './workload.ts'

const CONNECTIONS = 2
const FLUSH_ROWS = 1000

const schema = `
  CREATE TABLE limit_executions (
    id uuid PRIMARY KEY, workflow_id uuid NOT NULL, version integer NOT NULL, status text NOT NULL, owner uuid,
    created_at bigint NOT NULL, completed_at bigint, last_seq bigint NOT NULL, input json NOT NULL, output json
  ) WITH (fillfactor = 70);
  CREATE TABLE limit_events (
    execution_id uuid NOT NULL, seq bigint NOT NULL, at bigint NOT NULL, attempt integer, percentage smallint NOT NULL,
    type text NOT NULL, path text, data json NOT NULL, PRIMARY KEY (execution_id, seq)
  )`

const flush = `
  WITH started AS (
    INSERT INTO limit_executions (id, workflow_id, version, status, owner, created_at, last_seq, input)
    SELECT id, '00000000-0000-7000-8000-000000000000', 1, 'running', '00000000-0000-7000-8000-000000000000', at, 1, '{}'
    FROM unnest($1::uuid[], $2::bigint[]) AS start (id, at)
  ), ended AS (
    UPDATE limit_executions SET status = 'completed', owner = NULL, completed_at = at, last_seq = seq, output = data
    FROM unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::json[]) AS finish (execution, at, seq, data)
    WHERE id = execution
  )
  INSERT INTO limit_events (execution_id, seq, at, attempt, percentage, type, path, data)
  SELECT * FROM unnest($7::uuid[], $8::bigint[], $9::bigint[], $10::int[], $11::smallint[], $12::text[], $13::text[], $14::json[])`

const output = randomBytes(OUTPUT_BYTES / 2).toString('hex')

/** Measures one load in a fresh database. */
export const measureLimit = (load: Load): Promise<Figures> =>
  withDatabase('limit', async (url) => {
    const program = await openLimit(url)
    try {
      return await measure(program, load)
    } finally {
      await program.close()
    }
  })

/** The bare writer on a database of its own. */
export async function openLimit(url: string): Promise<Program> {
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(url)))
  await clients[0]!.query(schema)
  const lanes = clients.map((client) => new Lane(client))
  let next = 0
  return {
    async run(executions) {
      await Promise.all(Array.from({ length: executions }, () => new Execution(lanes[next++ % CONNECTIONS]!).ended))
    },
    runOne: () => new Execution(lanes[next++ % CONNECTIONS]!).ended,
    walBytes: () => walBytes(clients[0]!),
    async close() {
      await Promise.all(clients.map((client) => client.end()))
    },
  }
}

/** An execution: a state of one number, and a row for each change of it. */
class Execution {
  readonly id = uuidv7()
  readonly ended: Promise<void>
  step = 0
  readonly #lane: Lane
  #end!: () => void

  constructor(lane: Lane) {
    this.#lane = lane
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    lane.append(this)
  }

  committed(): void {
    if (this.step === STEPS) this.#end()
    else {
      this.step++
      this.#lane.append(this)
    }
  }
}

class Lane {
  readonly #client: pg.Client
  #waiting: Execution[] = []
  #isRunning = false

  constructor(client: pg.Client) {
    this.#client = client
  }

  append(execution: Execution): void {
    this.#waiting.push(execution)
    if (this.#isRunning) return
    this.#isRunning = true
    queueMicrotask(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, FLUSH_ROWS)
      await this.#client.query({ name: 'flush', text: flush, values: rowsOf(batch) })
      for (const execution of batch) execution.committed()
    }
    this.#isRunning = false
  }
}

function rowsOf(batch: readonly Execution[]): string[] {
  const at = Date.now()
  const columns: (string | number)[][] = Array.from({ length: 14 }, () => [])
  const add = (first: number, ...values: (string | number)[]) => {
    for (const [i, value] of values.entries()) columns[first + i]!.push(value)
  }
  for (const { id, step } of batch) {
    if (step === 0) {
      add(0, id, at)
      add(6, id, 1, at, 'NULL', 0, 'execution.started', 'NULL', '"{}"')
      continue
    }
    const data = quote(JSON.stringify({ output, durationMs: 0 }))
    add(6, id, step + 1, at, 1, step * 9, 'step.completed', `step-${step}`, data)
    if (step < STEPS) continue
    add(6, id, step + 2, at, 'NULL', 100, 'execution.completed', 'NULL', '"{}"')
    add(2, id, at, step + 2, quote(JSON.stringify(output)))
  }
  return columns.map((values) => `{${values.join(',')}}`)
}

/** An element of a PostgreSQL array literal. */
const quote = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`

if (import.meta.main) await runAlone('limit', measureLimit)
