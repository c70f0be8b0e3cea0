/**
 * `npm pretest`: rebuilds tap's plugins when a fresh install still holds those that tap ships with.
 *
 * .taprc leaves out @tapjs/typescript, which crashes with TypeScript 7. tap computes its loaders before it notices that its
 * plugins must be rebuilt, so the first run after `npm ci` would fail; a rebuild takes seconds and no network.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const built = new URL('../node_modules/@tapjs/test/test-built/dist/esm/index.js', import.meta.url)
const tap = new URL('../node_modules/tap/dist/esm/run.mjs', import.meta.url)

const isStale = (): boolean => readFileSync(built, 'utf8').includes('@tapjs/typescript')

if (isStale()) {
  const { status, error } = spawnSync(process.execPath, [fileURLToPath(tap), 'build'], {
    cwd: new URL('..', import.meta.url),
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (error) throw error
  if (status !== 0 || isStale()) throw new Error(`\`tap build\` did not rebuild tap's plugins (exit code ${status})`)
}
