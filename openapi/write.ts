/**
 * Writes openapi.json, asyncapi.json, workflow.schema.json and docs/language.md from the schemas of routes, streams and the
 * language; needs no database. With `--check` it writes nothing and fails when a file is stale.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { buildApp } from '../src/app.ts'
import { languageSchema } from '../src/definition/json-schema.ts'
import { WorkflowEngine } from '../src/engine/engine.ts'
import { asyncapiDocument } from '../src/stream/asyncapi.ts'
import { languageReference } from './language-reference.ts'

const app = buildApp({ engine: new WorkflowEngine() })
await app.ready()
const json = (document: object): string => `${JSON.stringify(document, null, 2)}\n`
const documents = {
  'openapi/openapi.json': json(app.swagger()),
  'openapi/asyncapi.json': json(asyncapiDocument()),
  'openapi/workflow.schema.json': json(languageSchema()),
  'docs/language.md': languageReference(),
}
await app.close()

for (const [name, text] of Object.entries(documents)) {
  const file = new URL(`../${name}`, import.meta.url)
  if (!process.argv.includes('--check')) {
    writeFileSync(file, text)
  } else if (text !== readOrNothing(file)) {
    console.error(`${name} is stale: run \`npm run openapi\` and commit it`)
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
