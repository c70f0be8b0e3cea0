import type { Test } from 'tap'
import type { Json, JsonObject } from '../../src/definition/json.ts'
import type { DecisionRequest } from '../../src/engine/approvals.ts'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import type { StepProgress } from '../../src/engine/core/progress.ts'
import type { StepStatus } from '../../src/engine/core/state.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import { ended, journalOf } from '../engine/running-engine.ts'
import { withClient } from '../harness/server.ts'
import { decideAll } from './deciding.ts'
import { bankToken, type Call, type Loopback, type World } from './world.ts'

/** One execution of an example, in a world that has its moods. */
export interface Story {
  /** What it shows; the name of its test. */
  readonly rule: string
  /** What differs from the definition's sample input; undefined leaves a member out. */
  readonly input?: Readonly<Record<string, Json | undefined>>
  /** What differs from the definition's variables. */
  readonly variables?: JsonObject
  /** SQL that fills the table of the definition's step `create-table` beforehand. */
  readonly rows?: string
  readonly world: World
  /** Signals that come as soon as it has started. */
  readonly signals?: readonly { readonly name: string; readonly payload: Json }[]
  /** Each decides the oldest approval that is open, as soon as one is. */
  readonly decisions?: readonly DecisionRequest[]
  /** `completed` when left out. */
  readonly ends?: 'failed'
  check(t: Test, ending: Ending): Promise<void> | void
}

/** What is left when the execution has ended. */
export interface Ending {
  readonly execution: ExecutionRow
  /** These by the step's id. */
  readonly steps: Readonly<Record<string, StepProgress>>
  readonly statuses: Readonly<Record<string, StepStatus>>
  readonly attempts: Readonly<Record<string, number>>
  readonly events: readonly JournalEvent[]
  /** Everything that was asked for, by its route, in order. */
  readonly asked: readonly string[]
  calls(route: string): Call[]
  /** What was sent there, in order. */
  sent(route: string): Json[]
  query(sql: string): Promise<unknown[]>
}

/** Where stories are played. */
export interface Stage {
  readonly engine: WorkflowEngine
  readonly loopback: Loopback
  /** Both the engine's database and the data source `main`. */
  readonly databaseUrl: string
}

export interface Example {
  readonly name: string
  readonly workflowId: string
  readonly definition: Definition
}
interface Definition {
  readonly name: string
  readonly variables?: JsonObject
  readonly inputSchema?: { readonly examples: readonly [JsonObject] }
  readonly steps: readonly { readonly id: string; readonly config: JsonObject }[]
}

/**
 * A definition with two things changed: whatever host it names, in its sample input too, is the loopback, and retries
 * come after a millisecond each.
 */
export function readDefinition(text: string, url: string): Definition {
  const hosted = text.replaceAll(/https?:\/\/[^/"{}\s]+/g, url)
  return JSON.parse(hosted, (key, value) =>
    key === 'retryPolicy' ? { ...value, initialIntervalMs: 1, backoffCoefficient: 1 } : value,
  )
}

/** Plays a story to its end, and checks what holds for every one. */
export async function play(t: Test, stage: Stage, example: Example, story: Story): Promise<void> {
  const { engine, loopback, databaseUrl } = stage
  const { definition, workflowId } = example
  const query = (sql: string) => withClient(databaseUrl, async (client) => (await client.query(sql)).rows)
  if (story.rows !== undefined) {
    const table = definition.steps.find(({ id }) => id === 'create-table')!
    for (const sql of [String(table.config.query), story.rows]) await query(sql)
  }
  const correlationId = encodeURIComponent(`${example.name}: ${story.rule}`)
  const traffic = loopback.enter(correlationId, story.world)
  const { execution: started } = await engine.requestStart({
    workflowId,
    version: await versionFor(engine, example, story),
    input: inputOf(definition, story),
    correlationId,
  })
  for (const { name, payload } of story.signals ?? []) await engine.signal(started.id, name, payload)
  await decideAll(engine, started.id, story.decisions ?? [])
  const execution = await ended(engine, started.id)
  const events = await journalOf(engine, execution.id)
  const { steps, percentage } = await engine.getProgress(execution.id)
  const byId = <Value>(of: (step: (typeof steps)[number]) => Value) =>
    Object.fromEntries(steps.map((step) => [step.id, of(step)]))

  const { status, error } = execution
  if (story.ends === undefined)
    t.match({ status, percentage, error }, { status: 'completed', percentage: 100, error: null })
  else t.equal(status, story.ends)
  t.strictSame(traffic.unforeseen, [], 'asks for nothing that README.md does not name')
  checkEffects(t, execution.id, traffic.calls, events)
  t.notOk(JSON.stringify({ execution, events }).includes(bankToken), 'keeps the secret out of its history')
  await story.check(t, {
    execution,
    events,
    steps: byId((step) => step),
    statuses: byId((step) => step.status),
    attempts: byId((step) => step.attempt),
    asked: traffic.calls.map(({ route }) => route),
    calls: (route) => traffic.calls.filter((call) => call.route === route),
    sent: (route) => traffic.calls.filter((call) => call.route === route).map(({ body }) => body),
    query,
  })
}

function inputOf({ inputSchema }: Definition, { input }: Story): JsonObject {
  const members = Object.entries({ ...inputSchema?.examples[0], ...input })
  return Object.fromEntries(members.filter((member): member is [string, Json] => member[1] !== undefined))
}

/** Version 1 is the definition as it was written. */
async function versionFor(engine: WorkflowEngine, { workflowId, definition }: Example, story: Story): Promise<number> {
  if (story.variables === undefined) return 1
  const variables = { ...definition.variables, ...story.variables }
  return (await engine.updateWorkflow(workflowId, { ...definition, variables })).version
}

/** Whatever may change something carries the key of its step, and comes as often as the step was attempted, unchanged. */
function checkEffects(t: Test, executionId: string, calls: readonly Call[], events: readonly JournalEvent[]): void {
  const effects = calls.filter(({ route }) => !route.startsWith('GET '))
  for (const [key, repeats] of Map.groupBy(effects, ({ headers }) => headers['idempotency-key'])) {
    const { route, body } = repeats[0]!
    const attempts = events.filter(({ path, attempt }) => attempt !== null && key === `${executionId}/0/${path}`)
    t.equal(
      repeats.length,
      Math.max(...attempts.map(({ attempt }) => attempt!)),
      `${route} carries its step's key at every attempt`,
    )
    for (const repeat of repeats)
      t.strictSame([repeat.route, repeat.body], [route, body], `${route} is repeated as it was`)
  }
}
