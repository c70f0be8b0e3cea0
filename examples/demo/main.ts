/**
 * `npm run demo`: the whole of Cairn in less than half a minute, on real data. It uses the service at CAIRN_URL, or one at
 * http://127.0.0.1:3000 that is configured for it (see examples/README.md), or starts one of its own; `--own` always does.
 * `--config` names the file that the running service has instead of examples/demo/config.json.
 * Ends with 0 only when everything happened as it says.
 */
import { constants } from 'node:os'
import { parseArgs, styleText } from 'node:util'
import { heading, say } from './narration.ts'
import { archiveSummary, readTable, runPipeline } from './pipeline-act.ts'
import { openStage } from './stage.ts'
import { pauseAndResume, rollBack } from './trail-act.ts'

const resources = new AsyncDisposableStack()
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt(signal))
// Nobody reads any more, as in `npm run demo | head`.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => interrupt('SIGPIPE'))

try {
  await perform()
} catch (error) {
  if (!interrupted) fail(error)
} finally {
  if (!interrupted) await resources.disposeAsync().then(stopped, fail)
}

async function perform(): Promise<void> {
  const { values } = parseArgs({ options: { own: { type: 'boolean' }, config: { type: 'string' } } })
  const startedAt = performance.now()
  const { client, dataUrl, isStub } = await openStage(resources, values)
  const { executionId, summary } = await runPipeline(client, dataUrl, isStub)
  await archiveSummary(client, executionId, summary)
  const trailId = await pauseAndResume(client)
  await rollBack(client, trailId)
  await readTable(client, executionId, summary)

  heading('What this was')
  const ok = styleText('green', '✓')
  say(
    `${ok} a JSON definition became an execution: fetched ${summary.records} records, validated, processed by an agent`,
  )
  say(`${ok} its progress came over a WebSocket, each event after it was committed to PostgreSQL`)
  say(`${ok} the result was written to a table by a database step, and read back`)
  say(`${ok} a longer run was paused, stood still, and went on from the exact point`)
  say(`${ok} it was rolled back to a checkpoint and performed again only what came after it`)
  say(`${((performance.now() - startedAt) / 1000).toFixed(1)} s in all`)
}

function stopped(): void {
  if (process.exitCode === undefined) say('What it had started is stopped.')
}

function fail(error: unknown): void {
  process.exitCode = 1
  const { message, cause } = error as Error
  const because = cause instanceof Error ? ` (${cause.message})` : ''
  console.error(`\n${styleText('red', '✗', { stream: process.stderr })} The demo failed: ${message}${because}`)
}

/** Stops what was started, once, however often Ctrl-C is pressed. */
async function interrupt(signal: NodeJS.Signals): Promise<void> {
  if (interrupted) return
  interrupted = true
  console.error(`\n${signal}: stopping …`)
  await resources.disposeAsync().catch(fail)
  process.exit(128 + constants.signals[signal])
}
