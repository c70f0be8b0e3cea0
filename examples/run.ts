/**
 * Runs one definition on a service and shows its progress:
 *
 *   node examples/run.ts <definition.json> [input: JSON, or a file that holds it]
 *
 * Without an input it takes the first one of the definition's `inputSchema.examples`.
 * The service is the one at CAIRN_URL, by default http://127.0.0.1:3000. Ends with 0 when the execution completed.
 */
import { existsSync, readFileSync } from 'node:fs'
import { CairnClient, type Definition } from './client/client.ts'
import { watch } from './client/watch.ts'

const [file, input] = process.argv.slice(2)
if (file === undefined) fail('Usage: node examples/run.ts <definition.json> [input: JSON, or a file that holds it]')

const client = new CairnClient(process.env.CAIRN_URL || 'http://127.0.0.1:3000')
try {
  const definition = JSON.parse(readFileSync(file, 'utf8')) as Definition
  const workflow = await client.publish(definition)
  const { id } = await client.start(workflow.id, { input: inputOf(definition), triggeredBy: 'examples/run.ts' })
  console.log(`${workflow.name}, version ${workflow.version}, execution ${id}`)
  await watch(client.url, id)
  const { status, output, error } = await client.execution(id)
  if (status === 'completed') console.log(JSON.stringify(output, null, 2))
  else fail(`${status}: ${error?.type} ${error?.message}`)
} catch (error) {
  const { message, cause } = error as Error
  fail(cause instanceof Error ? `${message}: is a service running at ${client.url}? (${cause.message})` : message)
}

function inputOf({ inputSchema }: Definition): unknown {
  if (input !== undefined) return JSON.parse(existsSync(input) ? readFileSync(input, 'utf8') : input)
  return (inputSchema as { examples?: unknown[] } | undefined)?.examples?.[0] ?? {}
}

function fail(message: string): never {
  console.error(message)
  process.exit(1)
}
