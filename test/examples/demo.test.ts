/** The demo is what people try first: it must do what it says, and leave nothing behind. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { pipeline } from '../../examples/demo/definitions.ts'
import { createTestDatabase } from '../harness/database.ts'
import { freePort } from '../harness/free-port.ts'
import { root, run, startService } from './program.ts'

// A demo mostly waits: for people to read, and for processes to start.
t.jobs = 2

t.test('its workflow is the one that README shows', async (t) => {
  const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
  const shown = /`pipeline\.json`:\n\n```json\n([\s\S]*?)\n```/.exec(readme)![1]!
  t.strictSame(pipeline('https://api.example.com/data'), JSON.parse(shown))
  t.match(pipeline('http://127.0.0.1:1/data'), { steps: [{ config: { url: 'http://127.0.0.1:1/data' } }] })
})

t.test('with a service of its own it shows everything and stops it, its PostgreSQL too', async (t) => {
  const dataDir = folder(t)
  const { code, stdout, stderr } = await run('examples/demo/main.ts', ['--own'], { CAIRN_DATA_DIR: dataDir })
  t.equal(stderr, '')
  t.equal(code, 0)
  showsEverything(t, stdout)
  t.match(stdout, /started for the demo, with a PostgreSQL of its own in /)
  t.ok(existsSync(path.join(dataDir, 'demo/postgres/PG_VERSION')), 'there was a PostgreSQL')
  t.notOk(existsSync(path.join(dataDir, 'demo/postgres/postmaster.pid')), 'it is stopped')

  const interrupted = await run('examples/demo/main.ts', ['--own'], { CAIRN_DATA_DIR: dataDir }, '✓ Walk to cairn 2')
  t.equal(interrupted.code, 130)
  t.equal(interrupted.stderr, '\nSIGINT: stopping …\n')
  t.notOk(existsSync(path.join(dataDir, 'demo/postgres/postmaster.pid')), 'Ctrl-C stops it too')
})

t.test('a running service that is configured as examples/README.md says is used', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const config = await configOnFreePorts(t)
  const url = await startService(t, { DATABASE_URL: databaseUrl, CAIRN_CONFIG: config })
  const { code, stdout, stderr } = await run('examples/demo/main.ts', ['--config', config], { CAIRN_URL: url })
  t.equal(stderr, '')
  t.equal(code, 0)
  showsEverything(t, stdout)
  t.ok(stdout.includes(`${url}, which was running`))
})

t.test('of a running service that is not configured for it, it says all that is missing', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const url = await startService(t, { DATABASE_URL: databaseUrl })
  const config = await configOnFreePorts(t)
  const { code, stderr } = await run('examples/demo/main.ts', ['--config', config], { CAIRN_URL: url })
  t.equal(code, 1)
  t.match(stderr, /not a public address; the operator can allow it/)
  t.match(stderr, /There is no data source "main"/)
  t.match(stderr, /There is no agent "data-processor"/)
  t.match(stderr, /examples\/README\.md says how/)
})

t.test('where nothing is running at CAIRN_URL it says so', async (t) => {
  const url = `http://127.0.0.1:${await freePort()}`
  const config = await configOnFreePorts(t)
  const { code, stderr } = await run('examples/demo/main.ts', ['--config', config], { CAIRN_URL: url })
  t.equal(code, 1)
  t.match(stderr, `No Cairn is ready at CAIRN_URL (${url})`)
})

function showsEverything(t: Test, stdout: string): void {
  t.match(
    stdout,
    /33 % ✓ Fetch Data .*\n.* 66 % ✓ Validate Data .*\n.* 99 % ✓ Process Data .*\n.* 100 % ● execution completed/,
  )
  t.match(stdout, /The petals of virginica are 3\.8 times as long as those of setosa/)
  t.match(stdout, /● execution paused\n.*1\.5 s later it stands still: \d of 8 steps.*\n.*● execution resumed/)
  t.match(stdout, /1 {11}execution\.rolled_back/)
  t.match(stdout, /virginica +50 +5\.55 +2\.03/)
  t.equal(stdout.match(/100 % ● execution completed/g)?.length, 4)
  t.notMatch(stdout, '\x1b', 'no control characters where there is no terminal')
}

/** The documented configuration, on ports that only this test uses. */
async function configOnFreePorts(t: Test): Promise<string> {
  const text = readFileSync(path.join(root, 'examples/demo/config.json'), 'utf8')
  const file = path.join(folder(t), 'config.json')
  writeFileSync(file, text.replace(':4600"', `:${await freePort()}"`).replace(':4601/', `:${await freePort()}/`))
  return file
}

function folder(t: Test): string {
  const name = mkdtempSync(path.join(tmpdir(), 'cairn-test-'))
  t.teardown(() => rmSync(name, { recursive: true }))
  return name
}
