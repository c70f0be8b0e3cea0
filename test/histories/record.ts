/**
 * Records a golden history: `node test/histories/record.ts NAME < definition.json` runs the definition (echo actions only) on a
 * database of its own, and writes what happened to NAME.golden.json. Of a list the last is run, and the others are there for it,
 * as its sub-workflows. Files that exist are never overwritten: an execution keeps for life the format under which it started, and
 * so does its history.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { WorkflowEngine } from '../../src/engine/engine.ts'
import { startEmbedded } from '../../src/repository/embedded-postgres.ts'

const [name] = process.argv.slice(2)
const file = new URL(`${name}.golden.json`, import.meta.url)
if (name === undefined || existsSync(file))
  throw new Error(`give a new name; ${file.pathname} exists or none was given`)

const given = JSON.parse(await text(process.stdin))
const definitions = Array.isArray(given) ? given : [given]
const definition = definitions.at(-1)
const embedded = await startEmbedded({ dataDir: '.cairn/histories' })
const engine = new WorkflowEngine({ databaseUrl: embedded.url, parkAfterMs: 20 })
await engine.start()
for (const other of definitions.slice(0, -1)) await engine.createWorkflow(other)
const workflow = await engine.createWorkflow({ ...definition, name: `${definition.name} ${Date.now()}` })
const input = definition.inputSchema?.examples?.[0] ?? null
const id = await engine.startExecution(workflow.id, 'golden', input)
await engine.waitForEnd(id, 30_000)
await engine.rollbackToCheckpoint(id, 1, { resume: true, compensate: true })
const { status, output, error, format } = await engine.waitForEnd(id, 30_000)
const { percentage } = await engine.getProgress(id)
const events = (await engine.store.eventsAfter(id, 0, 10_000)).map(({ executionId: _, text: __, ...event }) => event)
const expected = { status, output, error, percentage, checkpoints: await engine.listCheckpoints(id) }
writeFileSync(file, `${JSON.stringify({ format, definition, input, events, expected }, null, 1)}\n`)
await engine.stop()
await embedded.stop()
