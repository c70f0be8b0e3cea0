import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'

/** Spares each child half a second of compiling. */
const compileCache = path.join(tmpdir(), 'cairn-victims')

/** What every child gets; none of the settings of whoever runs the tests. */
export const childEnvironment = { PATH: process.env.PATH, NODE_COMPILE_CACHE: compileCache }

/** A victim under way; see victim.ts for what its environment says. It is killed with the test. */
export function startVictim(t: Test, environment: Record<string, string>): ChildProcess {
  const victim = spawn(process.execPath, [path.join(import.meta.dirname, 'victim.ts')], {
    env: { ...childEnvironment, ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.teardown(() => victim.kill('SIGKILL'))
  return victim
}

/** How a process ended: the signal that killed it, or its exit code. */
export async function endOf(child: ChildProcess): Promise<NodeJS.Signals | number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.signalCode ?? child.exitCode
}
