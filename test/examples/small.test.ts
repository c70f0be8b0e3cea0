/** The small examples, of the language in examples/language and of the control-flow patterns in examples/patterns, are carried out. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { Json } from '../../src/definition/json.ts'
import { stepTypes } from '../../src/definition/language.ts'
import type { DecisionRequest } from '../../src/engine/approvals.ts'
import { seen, startEngine } from '../engine/running-engine.ts'
import { decideAll } from './deciding.ts'

interface Example {
  readonly definition: object
  readonly input?: Json
  /** Sent in order: at once, or when the step at a path has begun to wait or is completed. */
  readonly signals?: readonly (Moment & { readonly name: string; readonly payload: Json })[]
  /** Each decides the oldest approval that is open, as soon as one is. */
  readonly decisions?: readonly DecisionRequest[]
  readonly cancel?: Moment
  readonly ends: { readonly status: string; readonly output?: Json; readonly error?: object }
}

interface Moment {
  readonly after?: string
  readonly afterCompleted?: string
}

const root = path.join(import.meta.dirname, '../..')
const namesIn = (folder: string): string[] =>
  readdirSync(path.join(root, 'examples', folder)).map((file) => path.basename(file, '.json'))

const engine = await startEngine(t)

async function comes(id: string, { after, afterCompleted }: Moment): Promise<void> {
  if (after !== undefined) await seen(engine, id, 'step.decided', after)
  if (afterCompleted !== undefined) await seen(engine, id, 'step.completed', afterCompleted)
}

t.test('every type of step has an example', async (t) => {
  const names = namesIn('language')
  t.strictSame(
    stepTypes.filter((type) => !names.includes(type)),
    [],
  )
})

t.test('docs/patterns.md has all 43 patterns, and names the example of each that is supported', async (t) => {
  const text = readFileSync(path.join(root, 'docs/patterns.md'), 'utf8')
  const rows = [...text.matchAll(/^\| (\d+) \| (.+?) \| (yes|partly|no) \| (.*) \|$/gm)]
  t.strictSame(
    rows.map(([, number]) => Number(number)),
    Array.from({ length: 43 }, (_, index) => index + 1),
  )
  const linked = rows.flatMap(([, , , , how]) => how!.match(/(?<=examples\/patterns\/)[\w-]+(?=\.json\))/g) ?? [])
  t.strictSame(linked, namesIn('patterns').sort(), 'every example has its row')
  for (const [, number, name, supported, how] of rows) {
    if (supported === 'yes') t.ok(how!.includes(`patterns/${number!.padStart(2, '0')}-`), `${name} has an example`)
  }
  const count = rows.filter(([, , , supported]) => supported === 'yes').length
  t.ok(text.includes(`**${count} of 43**`), `${count} are supported`)
})

for (const folder of ['language', 'patterns']) {
  for (const name of namesIn(folder)) {
    t.test(`${folder}: ${name}`, async (t) => {
      const text = readFileSync(path.join(root, 'examples', folder, `${name}.json`), 'utf8')
      const { definition, input, signals = [], decisions = [], cancel, ends } = JSON.parse(text) as Example
      const { id: workflowId } = await engine.createWorkflow(definition)
      const id = await engine.startExecution(workflowId, 'test', input ?? null)
      for (const { name, payload, ...moment } of signals) {
        await comes(id, moment)
        await engine.signal(id, name, payload)
      }
      await decideAll(engine, id, decisions)
      if (cancel !== undefined) {
        await comes(id, cancel)
        await engine.cancelExecution(id)
      }
      const { status, output, error } = await engine.waitForEnd(id, 60_000)
      t.equal(status, ends.status)
      t.match({ error }, { error: ends.error ?? null })
      t.same(output, ends.output ?? null)
    })
  }
}
