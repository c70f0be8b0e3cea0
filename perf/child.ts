import { spawn } from 'node:child_process'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { serviceOptions } from './node-options.ts'

/** Runs a program of perf/ in a process of its own, on a server that is there, and answers what it writes as its last line. */
export async function runProgram<T>(program: string, options: readonly string[], serverUrl: string): Promise<T> {
  const child = spawn(
    process.execPath,
    [...serviceOptions(), path.join(import.meta.dirname, program), '--json', ...options],
    {
      env: { ...process.env, PERF_DATABASE_URL: serverUrl },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  )
  const last = (await text(child.stdout)).trimEnd().split('\n').at(-1)
  if (!last) throw new Error(`${program} wrote no figures`)
  return JSON.parse(last) as T
}

/** The one in the middle. */
export const medianOf = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
