/** Docker cannot run in the tests; that its files fit the project can be checked all the same. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { loadConfig } from '../src/config.ts'

const root = path.join(import.meta.dirname, '..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

t.test('what the Dockerfile copies exists and is sent to the daemon', async (t) => {
  const sent = read('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'))
  const copied = read('Dockerfile')
    .split('\n')
    .filter((line) => line.startsWith('COPY ') && !line.includes('--from='))
    .flatMap((line) => line.split(/\s+/).slice(1, -1))
  t.ok(copied.length > 5)
  for (const file of copied) {
    t.ok(existsSync(path.join(root, file)), `${file} exists`)
    t.ok(sent.includes(`!${file}`), `${file} is not ignored`)
  }
})

t.test('the image runs the Node that package.json asks for, as a user without rights', async (t) => {
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } }
  const major = /ARG NODE=(\d+)-/.exec(read('Dockerfile'))?.[1]
  t.equal(`>=${major}`, engines.node)
  t.match(read('Dockerfile'), /^USER node$/m)
})

t.test('the image runs Node with the options of npm start', async (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: { start: string } }
  const command = JSON.parse(/^CMD (\[.*\])$/m.exec(read('Dockerfile'))![1]!) as string[]
  t.equal(scripts.start, `exec ${command.join(' ')}`)
})

t.test('the settings in docker-compose.yml are settings of Cairn', async (t) => {
  const service = /\n {2}cairn:\n([\s\S]*?)\n\n/.exec(read('docker-compose.yml'))![1]!
  const names = [...service.matchAll(/^ {6}([A-Z_]+):/gm)].map(([, name]) => name!)
  t.ok(names.includes('DATABASE_URL'))
  t.doesNotThrow(() =>
    loadConfig({
      DATABASE_URL: 'postgres://x',
      ...Object.fromEntries(names.filter((n) => n.startsWith('CAIRN_')).map((n) => [n, ''])),
    }),
  )
})
