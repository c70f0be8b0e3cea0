import { execFile } from 'node:child_process'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'

/** How PostgreSQL's programs are run: PostgreSQL refuses to run as root, so root lends it another user. */
export interface Unprivileged {
  /** Who the files must belong to; undefined: this process's own user. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined
  /** Runs a program to its end and gives its output; an Error with what it wrote when it fails. */
  run(program: string, args: readonly string[]): Promise<string>
}

const run = promisify(execFile)
const setpriv = '/usr/bin/setpriv'

/**
 * Chooses the user: this process's own, or for root the owner of `dataDir`, `postgres` or `nobody`. Where that user cannot
 * reach one of `folders` (a clone below /root, a folder made by mktemp), it is lent the right to pass by closed folders and
 * nothing else; where that cannot be done either, the Error says which folder is in the way and what helps.
 */
export function unprivileged(dataDir: string, folders: readonly string[]): Unprivileged {
  if (process.geteuid?.() !== 0) return { user: undefined, run: (program, args) => runPlain(program, args, {}) }
  const owner = statSync(dataDir)
  const user = owner.uid === 0 ? lentUser() : { uid: owner.uid, gid: owner.gid }
  const closed = folders.flatMap(parents).find((folder) => !mayPass(folder, user))
  if (closed === undefined) return { user, run: (program, args) => runPlain(program, args, user) }
  if (!isProgram(setpriv)) throw new Error(advice(closed))
  // access(2) drops the capabilities of a non-root user unless no_setuid_fixup is set, and initdb asks access(2).
  const capabilities = [
    '--inh-caps=-all,+dac_override',
    '--ambient-caps=-all,+dac_override',
    '--securebits=+no_setuid_fixup',
  ]
  const prefix = [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...capabilities]
  return {
    user,
    run: (program, args) =>
      runPlain(setpriv, [...prefix, program, ...args], {}).catch((cause: Error) => {
        throw new Error(`${cause.message}\n${advice(closed)}`, { cause })
      }),
  }
}

async function runPlain(
  program: string,
  args: readonly string[],
  options: { uid?: number; gid?: number },
): Promise<string> {
  try {
    // A working directory that the user cannot enter would be an error of its own.
    const { stdout } = await run(program, args, { ...options, cwd: '/', windowsHide: true })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${path.basename(program)} failed: ${(stderr || stdout || String(error)).trim()}`, { cause: error })
  }
}

function lentUser(): { uid: number; gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const entry = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  return { uid: Number(entry?.[2] ?? 65534), gid: Number(entry?.[3] ?? 65534) }
}

function parents(folder: string): string[] {
  const parent = path.dirname(folder)
  return parent === folder ? [folder] : [...parents(parent), folder]
}

function mayPass(folder: string, user: { uid: number; gid: number }): boolean {
  const { mode, uid, gid } = statSync(folder)
  if (uid === user.uid) return (mode & constants.S_IXUSR) !== 0
  return (mode & (gid === user.gid ? constants.S_IXGRP : constants.S_IXOTH)) !== 0
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const advice = (closed: string): string =>
  `PostgreSQL cannot run as root, and the user that it gets instead cannot pass ${closed}. Run Cairn as another user, ` +
  'or move it and CAIRN_DATA_DIR out of that folder (chmod o+x would do as well), or set DATABASE_URL to a PostgreSQL of yours.'
