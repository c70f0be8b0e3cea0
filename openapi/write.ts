/**
 * Writes openapi.json, asyncapi.json and workflow.schema.json from the schemas of routes, streams and the language; needs no database. With `--check` it writes
 * nothing and fails when a file is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { buildApp } from '../src/app.ts'
import { languageSchema } from '../src/definition/json-schema.ts'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { asyncapiDocument } from '../src/stream/asyncapi.ts'

const app = buildApp({ engine: new WorkflowEngine() })
await app.ready()
const documents = {
  'openapi.json': app.swagger(),
  'asyncapi.json': asyncapiDocument(),
  'workflow.schema.json': languageSchema(),
}
await app.close()

for (const [name, document] of Object.entries(documents)) {
  const file = new URL(name, import.meta.url)
  const text = `${JSON.stringify(document, null, 2)}\n`
  if (!process.argv.includes('--check')) {
    writeFileSync(file, text)
  } else if (text !== readOrNothing(file)) {
    console.error(`openapi/${name} is stale: run \`npm run openapi\` and commit it`)
    process.exitCode = 1
  }
}

function readOrNothing(file: URL): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
