import { spawn } from 'node:child_process'
import { accessSync, chownSync, constants, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { freePort } from '../harness/free-port.ts'
import { withClient } from '../harness/server.ts'

/** The program, or null on a machine that has none. Debian keeps it where only root's PATH leads. */
export function findPgBouncer(): string | null {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => path.join(folder, 'pgbouncer')).find(isProgram) ?? null
}

export interface PgBouncer {
  /** The database that `url` led to, through it. */
  readonly url: string
  /** Ends it with SIGKILL: every connection through it breaks. */
  kill(): Promise<void>
  /** Starts it again, on the same port. */
  start(): Promise<void>
  /** What its console answers. */
  show(what: 'CLIENTS' | 'SERVERS'): Promise<{ database: string; state: string }[]>
}

/**
 * PgBouncer in transaction mode before the server that `url` leads to by its unix socket; ended with the test. `poolSize`
 * is how many sessions all clients share.
 */
export async function startPgBouncer(
  t: Test,
  { program, url, poolSize }: { program: string; url: string; poolSize: number },
): Promise<PgBouncer> {
  const { pathname, searchParams } = new URL(url)
  const socketDir = searchParams.get('host')!
  const port = await freePort()
  const folder = mkdtempSync(path.join(tmpdir(), 'cairn-pgbouncer-'))
  const users = path.join(folder, 'users.txt')
  const settings = path.join(folder, 'pgbouncer.ini')
  writeFileSync(users, '"postgres" ""\n')
  writeFileSync(
    settings,
    `[databases]
* = host=${socketDir} port=${searchParams.get('port')}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
admin_users = postgres
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
  )
  // It refuses to run as root, and only the server's user may pass to the server's socket.
  const { uid, gid } = statSync(socketDir)
  const isRoot = process.geteuid?.() === 0
  if (isRoot) for (const file of [folder, users, settings]) chownSync(file, uid, gid)

  let child: { kill(signal: NodeJS.Signals): unknown; exited: Promise<void> } | null = null
  const start = async (): Promise<void> => {
    const spawned = spawn(program, [settings], {
      ...(isRoot && { uid, gid }),
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const log: string[] = []
    const exited = new Promise<void>((resolve) => spawned.once('exit', () => resolve()))
    child = { kill: (signal) => spawned.kill(signal), exited }
    await new Promise<void>((resolve, reject) => {
      spawned.once('error', reject)
      exited.then(() => reject(new Error(`PgBouncer ended: ${log.join('\n')}`)))
      createInterface(spawned.stderr).on('line', (line) => {
        log.push(line)
        if (line.includes('process up')) resolve()
      })
    })
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child?.kill(signal)
    await child?.exited
    child = null
  }
  t.teardown(async () => {
    await end('SIGTERM')
    rmSync(folder, { recursive: true, force: true })
  })
  await start()
  const urlOf = (database: string): string => `postgres://postgres@127.0.0.1:${port}/${database}`
  return {
    url: urlOf(pathname.slice(1)),
    kill: () => end('SIGKILL'),
    start,
    show: (what) => withClient(urlOf('pgbouncer'), async (client) => (await client.query(`SHOW ${what}`)).rows),
  }
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
