import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { startEmbedded } from '../../src/repository/embedded-postgres.ts'

const root = path.join(import.meta.dirname, '../..')

/** How long a service that was told to stop may take. */
const stopMs = 20_000
const keptLines = 20

/**
 * Starts a service on a free port, with its PostgreSQL unless DATABASE_URL names one, and answers with its URL once it is
 * ready. Everything that must be stopped or removed goes to `resources`, before it can be interrupted.
 */
export async function startOwnService(resources: AsyncDisposableStack, config: object): Promise<string> {
  const databaseUrl = process.env.DATABASE_URL || (await startPostgres(resources))
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-demo-'))
  resources.defer(() => rmSync(folder, { recursive: true }))
  const configFile = path.join(folder, 'config.json')
  writeFileSync(configFile, JSON.stringify(config), { mode: 0o600 })

  const { CAIRN_URL: _, ...environment } = process.env
  const service = spawn(process.execPath, [path.join(root, 'src/main.ts')], {
    env: {
      ...environment,
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_LEVEL: 'info',
      DATABASE_URL: databaseUrl,
      CAIRN_CONFIG: configFile,
      // Nobody but the demo asks it anything.
      CAIRN_SHUTDOWN_GRACE_MS: '0',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Ctrl-C goes to the demo alone, which then stops the service as it should be stopped.
    detached: true,
  })
  const exit = once(service, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  resources.defer(async () => {
    const late = setTimeout(() => service.kill('SIGKILL'), stopMs)
    service.kill('SIGTERM')
    const [code, signal] = await exit
    clearTimeout(late)
    // A signal ends it at once while it has not begun anything yet.
    if (code !== 0 && signal !== 'SIGTERM')
      throw new Error(`The service ended with ${code ?? signal} when it was told to stop`)
  })

  const lines: string[] = []
  const ready = Promise.withResolvers<string>()
  for (const output of [service.stdout, service.stderr]) {
    createInterface(output).on('line', (line) => {
      lines.push(line)
      if (lines.length > keptLines) lines.shift()
      const url = /"url":"([^"]+)".*"Cairn is ready"/.exec(line)?.[1]
      if (url !== undefined) ready.resolve(url)
    })
  }
  exit.then(([code]) => ready.reject(new Error(`The service ended with ${code}:\n${lines.join('\n')}`)), ready.reject)
  return ready.promise
}

async function startPostgres(resources: AsyncDisposableStack): Promise<string> {
  const starting = startEmbedded({ dataDir: dataDir() })
  resources.defer(async () => (await starting.catch(() => null))?.stop())
  return (await starting).url
}

/** Of the demo's own PostgreSQL: kept, so that the next demo starts sooner. */
export const dataDir = (): string => path.resolve(process.env.CAIRN_DATA_DIR || path.join(root, '.cairn'), 'demo')
