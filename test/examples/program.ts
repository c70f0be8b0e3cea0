import { type ChildProcess, spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

export const root = path.join(import.meta.dirname, '../..')

/** What a program of ours gets of the environment: nothing that tap or this machine's owner has set for Cairn. */
const environment = { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR }

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of the project to its end; with `interruptAt`, until it says that. */
export function run(
  file: string,
  args: readonly string[],
  given: Record<string, string> = {},
  interruptAt?: string,
): Promise<Ended> {
  const child = spawn(process.execPath, [path.join(root, file), ...args], { env: { ...environment, ...given } })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output.stdout += text
    if (interruptAt !== undefined && output.stdout.includes(interruptAt)) child.kill('SIGINT')
  })
  child.stderr.setEncoding('utf8').on('data', (text) => (output.stderr += text))
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, ...output })))
}

/** The service as a process of its own. */
export interface Service {
  readonly url: string
  readonly process: ChildProcess
  /** How it ended: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

/** Starts the service as an operator would, on any port, and waits until it is ready; it is stopped at the test's end. */
export async function spawnService(t: Test, given: Record<string, string>): Promise<Service> {
  const child = spawn(process.execPath, [path.join(root, 'src/main.ts')], {
    env: { ...environment, PORT: '0', CAIRN_SHUTDOWN_GRACE_MS: '0', ...given },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? code!)),
  )
  // Where the test itself is ended, its teardowns are not run.
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  ended.then(() => process.off('exit', end))
  t.teardown(() => {
    child.kill('SIGTERM')
    return ended
  })
  const url = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      const { msg, url } = JSON.parse(line) as { msg: string; url?: string }
      if (msg === 'Cairn is ready' && url !== undefined) resolve(url)
    })
    ended.then((how) => reject(new Error(`The service ended: ${how}`)))
  })
  return { url, process: child, ended }
}

/** The address of a service that is started for the test; see spawnService. */
export const startService = async (t: Test, given: Record<string, string>): Promise<string> =>
  (await spawnService(t, given)).url
