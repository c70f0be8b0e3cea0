/** The small examples of examples/language, which docs/language.md shows, are carried out. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { Json } from '../../src/definition/json.ts'
import { stepTypes } from '../../src/definition/language.ts'
import { startEngine } from '../engine/running-engine.ts'

interface Example {
  readonly definition: object
  readonly input?: Json
  /** Sent as soon as it is started. */
  readonly signals?: readonly { readonly name: string; readonly payload: Json }[]
  readonly ends: { readonly status: string; readonly output?: Json; readonly error?: object }
}

const folder = path.join(import.meta.dirname, '../../examples/language')
const names = readdirSync(folder).map((file) => path.basename(file, '.json'))
const engine = await startEngine(t)

t.test('every type of step has an example', async (t) => {
  t.strictSame(
    stepTypes.filter((type) => !names.includes(type)),
    [],
  )
})

for (const name of names) {
  t.test(name, async (t) => {
    const example = JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8')) as Example
    const { id: workflowId } = await engine.createWorkflow(example.definition)
    const id = await engine.startExecution(workflowId, 'test', example.input ?? null)
    for (const { name, payload } of example.signals ?? []) await engine.signal(id, name, payload)
    const { status, output, error } = await engine.waitForEnd(id, 60_000)
    t.equal(status, example.ends.status)
    t.match({ error }, { error: example.ends.error ?? null })
    if ('output' in example.ends) t.same(output, example.ends.output)
    else t.equal(output, null)
  })
}
