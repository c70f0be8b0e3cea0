/** What openapi.json promises is enough to write a client from, with public tools and full types. */
import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { startApi } from '../routes/api.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '../..')
const bin = (name: string): string => path.join(root, name)

/** A folder beside this file, so that the program finds its libraries; hidden, so that the project's own tsc does not see it. */
const folder = await mkdtemp(path.join(import.meta.dirname, '.program-'))
t.teardown(() => rm(folder, { recursive: true }))
const program = path.join(folder, 'program.ts')

t.test('a typed client is generated from openapi.json and compiles', async (t) => {
  const generator = bin('test/client/node_modules/openapi-typescript/bin/cli.js')
  await run(process.execPath, [generator, bin('openapi/openapi.json'), '--output', path.join(folder, 'api.d.ts')], {
    cwd: import.meta.dirname,
  })
  await copyFile(path.join(import.meta.dirname, 'program.ts.txt'), program)
  const compilerOptions = {
    target: 'es2024',
    lib: ['es2024', 'dom', 'dom.iterable'],
    module: 'nodenext',
    types: [],
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
  }
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
  const faults = await run(bin('node_modules/.bin/tsc'), ['--project', folder]).then(
    () => '',
    (error: { stdout: string }) => error.stdout,
  )
  t.equal(faults, '')
})

t.test('it drives a whole workflow', async (t) => {
  const api = await startApi(t)
  const baseUrl = await api.app.listen({ port: 0 })
  const { drive } = await import(program)
  const result = await drive(baseUrl)
  t.match(result, {
    workflow: { name: 'typed', version: 1, status: 'active' },
    faults: [{ pointer: '/steps/0/id' }],
    first: { status: 'completed', output: { a: 7, b: 7 }, correlationId: 'typed-client', triggeredBy: 'typed client' },
    percentage: 100,
    checkpoints: ['load', 'check', 'fan.a', 'fan.b'],
    rolledBackTo: 'paused',
    refusedWith: 'REQUEST_INVALID',
    resumed: 200,
    end: { status: 'completed', output: { a: 7, b: 7 } },
  })
  t.equal(result.eventTypes.at(-1), 'execution.completed')
})
