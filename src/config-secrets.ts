import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Fault } from './errors.ts'

const prefix = 'CAIRN_SECRET_'
const namePattern = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/

/**
 * Secrets by name: CAIRN_SECRET_<NAME> of the environment, and one file a secret in `folder`, whose last line break is
 * cut. What is wrong goes to `faults`, which never hold a value.
 */
export function readSecrets(
  environment: NodeJS.ProcessEnv,
  folder: string | undefined,
  faults: Fault[],
): Record<string, string> {
  const secrets = new Map<string, string>()
  const take = (name: string, value: string, source: string) => {
    if (!namePattern.test(name))
      faults.push({ pointer: source, message: 'does not end in a name: letters, digits, _ . and -' })
    else if (value === '') faults.push({ pointer: source, message: 'is empty' })
    else if (secrets.has(name)) faults.push({ pointer: source, message: `gives the secret ${name} a second time` })
    else secrets.set(name, value)
  }
  for (const [variable, value = ''] of Object.entries(environment)) {
    if (variable.startsWith(prefix)) take(variable.slice(prefix.length), value, variable)
  }
  if (folder !== undefined) readFolder(folder, take, faults)
  return Object.fromEntries(secrets)
}

type Take = (name: string, value: string, source: string) => void

function readFolder(folder: string, take: Take, faults: Fault[]): void {
  try {
    for (const name of readdirSync(folder).sort()) {
      const path = join(folder, name)
      // Kubernetes keeps its own bookkeeping beside the files: `..data` and time-stamped folders.
      if (name.startsWith('.') || !statSync(path).isFile()) continue
      take(name, readFileSync(path, 'utf8').replace(/\r?\n$/, ''), path)
    }
  } catch (error) {
    faults.push({ pointer: 'CAIRN_SECRETS_DIR', message: `cannot be read: ${(error as Error).message}` })
  }
}
