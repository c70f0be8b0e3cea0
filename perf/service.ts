import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { Pool } from 'undici'
import { WebSocket } from 'ws'
import { serviceOptions } from './node-options.ts'

/** The service as an operator runs it, in a process of its own. */
export interface Service {
  readonly url: string
  readonly process: ChildProcess
  /** Memory that the process holds now, MiB; null where the system does not tell. */
  rssMiB(): Promise<number | null>
  stop(): Promise<void>
  /** As `kill -9` does it. */
  kill(): Promise<void>
}

/** Starts the service on a database and any port, with options of Node; resolves when it is ready. */
export async function startService(
  databaseUrl: string,
  settings: Record<string, string> = {},
  options: readonly string[] = [],
): Promise<Service> {
  const given = [...serviceOptions(), ...options, path.join(import.meta.dirname, '../src/main.ts')]
  const child = spawn(process.execPath, given, {
    env: { ...process.env, DATABASE_URL: databaseUrl, PORT: '0', CAIRN_SHUTDOWN_GRACE_MS: '0', ...settings },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = await new Promise<string>((resolve, reject) => {
    const lines = createInterface(child.stdout!).on('line', (line) => {
      const { msg, url } = JSON.parse(line) as { msg: string; url?: string }
      if (msg !== 'Cairn is ready' || url === undefined) return
      // It goes on to log, and nobody reads it.
      lines.close()
      child.stdout!.resume()
      resolve(url)
    })
    ended.then(() => reject(new Error('The service ended before it was ready')))
  })
  return {
    url,
    process: child,
    async rssMiB() {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')
      const kib = /VmRSS:\s+(\d+)/.exec(status)?.[1]
      return kib === undefined ? null : Math.round(Number(kib) / 1024)
    },
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Clients of a service over so many connections that are kept open. */
export class Clients {
  readonly #pool: Pool
  readonly #url: string

  constructor(url: string, connections: number) {
    this.#url = url
    this.#pool = new Pool(url, { connections, pipelining: 1 })
  }

  async createWorkflow(definition: object): Promise<string> {
    return (await this.send<{ id: string }>('POST', '/api/workflows', definition)).id
  }

  /** Resolves when the start is durable; the id of the execution. */
  async start(workflowId: string, rest: object = {}): Promise<string> {
    return (await this.send<{ id: string }>('POST', '/api/workflows/executions', { workflowId, ...rest })).id
  }

  get<T>(url: string): Promise<T> {
    return this.send('GET', url)
  }

  /** The answer; an error when it is none of 2xx. */
  async send<T>(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object): Promise<T> {
    return JSON.parse(await this.#answer(method, path, body)) as T
  }

  /** As it was sent. */
  text(path: string): Promise<string> {
    return this.#answer('GET', path)
  }

  /** Follows an execution from its beginning on over a socket of its own; messages are JSON in UTF-8. */
  async follow(executionId: string, onMessage: (text: Buffer) => void): Promise<WebSocket> {
    const socket = new WebSocket(
      `${this.#url.replace('http', 'ws')}/api/workflows/executions/${executionId}/stream?after=0`,
    )
    socket.on('message', (data) => onMessage(data as Buffer))
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    return socket
  }

  close(): Promise<void> {
    return this.#pool.close()
  }

  async #answer(method: 'GET' | 'POST' | 'PATCH', path: string, body?: object): Promise<string> {
    const answer = await this.#pool.request({
      ...{ path, method },
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode >= 300) throw new Error(`${method} ${path} answered ${answer.statusCode}: ${text}`)
    return text
  }
}

/** So many times, this many at a time. */
export async function times<T>(count: number, atOnce: number, act: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await act(index)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, work))
  return results
}
