// Before everything else: what is loaded earlier cannot be instrumented.
import './telemetry/tracing.ts'
import { setImmediate as nextTurn } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import { buildApp } from './app.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { prepareShapes } from './definition/compile.ts'
import { WorkflowEngine } from './engine/engine.ts'
import { credentialsIn, Secrets } from './engine/secrets.ts'
import { createLogger } from './telemetry/logging.ts'
import { Metrics } from './telemetry/metrics.ts'
import { createObserver } from './telemetry/observer.ts'
import { Spans } from './telemetry/spans.ts'
import { tracing } from './telemetry/tracing.ts'

/** How long closing may take once everything is handed over: the last answers and flushes, the embedded PostgreSQL. */
const CLOSE_WITHIN_MS = 30_000

const config = configOrExit()
const databaseUrls = [config.database.url, config.database.listenUrl]
const secrets = new Secrets(config.secrets, credentialsIn({ ...config.actions, databaseUrls }))
const log = createLogger({
  level: config.log.level,
  redact: secrets.areNone ? undefined : (value) => secrets.redact(value),
  traces: tracing !== null,
})
const metrics = new Metrics()
const engine = new WorkflowEngine({
  databaseUrl: config.database.url,
  dataDir: config.database.dataDir,
  notify: config.database.notify,
  listenUrl: config.database.listenUrl,
  poolSize: config.database.poolSize,
  lanes: config.database.lanes,
  prepare: config.database.prepare,
  ...config.engine,
  targets: config.actions,
  secrets: config.secrets,
  log,
  observer: createObserver(metrics, tracing === null ? null : new Spans(tracing.ids)),
})
metrics.watch(engine.gauges)
const app = buildApp({
  engine,
  logger: log,
  maxPayloadBytes: config.engine.maxPayloadBytes,
  metrics,
})

let isStopping = false
// No limit on the whole: at_most_once attempts have their own timeouts. Who cannot wait sends a second signal, or SIGKILL.
closeWithGrace({ delay: false, logger: false, onSecondSignal }, async ({ signal, err }) => {
  if (err !== undefined) log.fatal({ err }, 'the process cannot go on')
  log.info({ signal }, 'stopping')
  isStopping = true
  const handedOver = engine.drain()
  // Balancers send SIGTERM; Ctrl-C has a person waiting.
  await app.retire(signal === 'SIGTERM' ? config.server.shutdownGraceMs : 0)
  log.info({}, 'no more requests are taken')
  await handedOver
  log.info({}, 'executions are handed over')
  setTimeout(() => process.exit(1), CLOSE_WITHIN_MS).unref()
  await app.close()
  await engine.stop()
  await tracing?.shutdown()
  log.info({}, 'stopped')
})

await listen()
await Promise.all([start(), prepare()])

/** The process ends here and now, which is as safe as kill -9. */
function onSecondSignal(signal: string): void {
  log.warn({ signal }, 'stopped at once: others take its executions over when its lease has run out')
}

/** Listens first: while PostgreSQL is away, /health/ready says so. */
async function listen(): Promise<void> {
  try {
    const { host, port } = config.server
    await app.listen({ host, port })
  } catch (error) {
    exit(`Cairn cannot listen on ${config.server.host}:${config.server.port}: ${(error as Error).message}`)
  }
}

/** What the first definition would wait for, and with it everybody. */
async function prepare(): Promise<void> {
  for (const _ of prepareShapes()) await nextTurn()
}

async function start(): Promise<void> {
  try {
    await engine.start()
  } catch (error) {
    if (isStopping) return
    log.fatal({ err: error }, 'the engine cannot start')
    await app.close()
    await engine.stop()
    process.exit(1)
  }
  if (isStopping) return
  const { host } = config.server
  const { port } = app.server.address() as { port: number }
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  log.info(
    { url, docs: `${url}/docs`, database: config.database.url === null ? 'embedded' : 'given' },
    'Cairn is ready',
  )
  if (process.stdout.isTTY)
    process.stdout.write(`\n  Cairn is ready\n    API   ${url}/api/workflows\n    Docs  ${url}/docs\n\n`)
}

function configOrExit(): Config {
  try {
    return loadConfig()
  } catch (error) {
    if (error instanceof ConfigError) exit(error.message)
    throw error
  }
}

function exit(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
