import { existsSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbedded } from '../../src/repository/embedded-postgres.ts'
import { dataDir, keeperLock, urlOf, withClient } from './server.ts'

/** Keeps the test server up between test files; ends it when nobody but itself has been connected for a while. */
const idleMs = 30_000
const lookMs = 1_000

let isKeeper = false
const server = await startEmbedded({ dataDir })
await withClient(urlOf(server.url, 'postgres'), async (client) => {
  const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS only', [keeperLock])
  if (!rows[0].only) return
  for (let idleSince = performance.now(); performance.now() - idleSince < idleMs; await delay(lookMs)) {
    // Its own two sessions are this one and the lock of startEmbedded.
    const others = await client.query("SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' OFFSET 2")
    if (others.rowCount !== 0) idleSince = performance.now()
  }
  isKeeper = true
}).finally(() => server.stop())
// Databases of killed test processes go with it, and no memory is held. Whoever joined meanwhile has kept the server running.
if (isKeeper && !existsSync(path.join(dataDir, 'postgres', 'postmaster.pid'))) {
  const away = `${dataDir}.${process.pid}`
  renameSync(dataDir, away)
  rmSync(away, { recursive: true, force: true })
}
