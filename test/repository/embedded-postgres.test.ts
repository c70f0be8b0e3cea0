import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { openDatabase } from '../../src/repository/connection.ts'
import { startEmbedded } from '../../src/repository/embedded-postgres.ts'
import { folderLock } from '../../src/repository/folder-users.ts'
import { checkDurability, migrate } from '../../src/repository/migrate.ts'
import { until } from '../harness/condition.ts'
import { urlOf, withClient } from '../harness/server.ts'

/** One folder for most tests: initdb takes its time. */
const dataDir = path.join(t.testdir(), 'not/there yet')

const postmasterPid = (): number | null => {
  const file = path.join(dataDir, 'postgres/postmaster.pid')
  return existsSync(file) ? Number.parseInt(readFileSync(file, 'utf8'), 10) : null
}

t.test('it starts from nothing, durable and migratable, stops once, and starts again with its data', async (t) => {
  const first = await startEmbedded({ dataDir })
  t.not(first.aloneAt, null)
  const database = openDatabase({ url: first.url })
  await migrate(database)
  await migrate(database)
  await checkDurability(database)
  await database.pool.query("INSERT INTO nodes (id, host, expires_at) VALUES (gen_random_uuid(), 'a', now())")
  await database.close()
  await Promise.all([first.stop(), first.stop()])
  await first.stop()
  t.equal(postmasterPid(), null)

  const second = await startEmbedded({ dataDir })
  t.not(second.aloneAt, null)
  await withClient(second.url, async (client) => t.equal((await client.query('SELECT FROM nodes')).rowCount, 1))
  await second.stop()
  t.equal(postmasterPid(), null)
})

t.test('who comes second adopts the server and is not alone; the last one to leave stops it', async (t) => {
  const [one, two] = await Promise.all([startEmbedded({ dataDir }), startEmbedded({ dataDir })])
  t.equal(one.url, two.url)
  t.equal(Number(one.aloneAt !== null) + Number(two.aloneAt !== null), 1)
  const pid = postmasterPid()
  const third = await startEmbedded({ dataDir })
  t.equal(third.aloneAt, null)
  await one.stop()
  await third.stop()
  t.equal(postmasterPid(), pid, 'somebody still uses it')
  await withClient(two.url, (client) => client.query('SELECT 1'))
  await two.stop()
  t.equal(postmasterPid(), null)
})

t.test('a server that outlived a killed process is adopted, and that process is known to be dead', async (t) => {
  const module = JSON.stringify(path.join(import.meta.dirname, '../../src/repository/embedded-postgres.ts'))
  const script = `const { startEmbedded } = await import(${module}); await startEmbedded({ dataDir: ${JSON.stringify(dataDir)} }); console.log('up')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  await once(child.stdout, 'data')
  const pid = postmasterPid()
  child.kill('SIGKILL')
  await exit
  const adopted = await startEmbedded({ dataDir })
  t.equal(postmasterPid(), pid)
  t.not(adopted.aloneAt, null)
  await adopted.stop()
})

t.test(
  'a closed folder is no obstacle to root, which lends PostgreSQL another user',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const closed = t.testdir()
    chmodSync(closed, 0o700)
    const server = await startEmbedded({ dataDir: closed })
    await withClient(server.url, (client) => client.query('CREATE TABLE x ()'))
    await server.stop()
  },
)

t.test('what PostgreSQL says is in the error when it cannot start', async (t) => {
  const broken = t.testdir({ postgres: { PG_VERSION: '9' } })
  await t.rejects(startEmbedded({ dataDir: broken }), /pg_ctl failed/)
})

t.test('a server that may lose acknowledged commits is refused', async (t) => {
  const server = await startEmbedded({ dataDir })
  for (const setting of ['synchronous_commit', 'fsync']) {
    await withClient(server.url, async (client) => {
      await client.query(`ALTER SYSTEM SET ${setting} = off`)
      await client.query('SELECT pg_reload_conf()')
      while ((await client.query(`SHOW ${setting}`)).rows[0][setting] !== 'off');
    })
    const database = openDatabase({ url: server.url })
    await t.rejects(checkDurability(database), new RegExp(`${setting} = off.*ALTER SYSTEM SET ${setting} = on`))
    await database.close()
    await withClient(server.url, (client) => client.query('ALTER SYSTEM RESET ALL'))
  }
  await server.stop()
})

t.test('who stands still while joining or leaving does not keep others from it', async (t) => {
  // A server with nobody on it.
  const module = JSON.stringify(path.join(import.meta.dirname, '../../src/repository/embedded-postgres.ts'))
  const script = `const { startEmbedded } = await import(${module}); console.log((await startEmbedded({ dataDir: ${JSON.stringify(dataDir)} })).url)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const [url] = await once(child.stdout.setEncoding('utf8'), 'data')
  child.kill('SIGKILL')
  await exit
  await withClient(urlOf(url.trim(), 'postgres'), async (still) => {
    await still.query(`SET application_name = 'cairn process ${process.pid}'`)
    await until('the killed one has left', async () => {
      const { rows } = await still.query('SELECT pg_try_advisory_lock($1) AS alone', [folderLock])
      return rows[0].alone
    })
    const joined = await startEmbedded({ dataDir })
    t.equal(joined.aloneAt, null, 'the one that stands still may go on')
    await t.rejects(still.query('SELECT 1'), 'and finds out then')
    await joined.stop()
  })
})
