import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { compile } from '../../src/definition/compile.ts'
import { ActionRegistry, builtInActions } from '../../src/engine/actions/registry.ts'

const folder = new URL('../../examples/', import.meta.url)
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

t.test('every example compiles with the actions that come with Cairn, and takes its own sample input', async (t) => {
  const { actions, close } = builtInActions()
  t.teardown(close)
  const shapes = new ActionRegistry(actions).shapes()
  t.ok(names.length >= 10)
  for (const name of names) {
    const definition = JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
    const result = compile(definition, shapes)
    if ('faults' in result) t.fail(name, { faults: result.faults })
    else if (definition.inputSchema) t.strictSame(result.plan.inputFaults(definition.inputSchema.examples[0]), [], name)
  }
})
