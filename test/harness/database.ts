import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import type { Test } from 'tap'
import { templateOn, urlOf, useServer, withClient } from './server.ts'

/**
 * An empty, migrated database of the test's own on a real PostgreSQL, dropped at its end. Teardowns run last in, first out:
 * what the test opens afterwards is closed before. Whoever has left a connection open then fails the test.
 */
export async function createTestDatabase(t: Test): Promise<{ url: string }> {
  const server = await useServer()
  const template = await templateOn(server.url)
  const name = `test_${process.pid}_${randomBytes(4).toString('hex')}`
  const admin = urlOf(server.url, 'postgres')
  await withClient(admin, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${template}`))
  t.teardown(async () => {
    await withClient(admin, async (client) => {
      const leaks = await leakedSessions(client, name)
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      // A teardown may not assert any more, but what it throws fails the test.
      if (leaks.length > 0) throw new Error(`Connections to the test database were left open: ${JSON.stringify(leaks)}`)
    }).finally(server.stop)
  })
  return { url: urlOf(server.url, name) }
}

const PATIENCE_MS = 20_000

/** Sessions on the database, once those whose client has just gone had time to end. */
async function leakedSessions(client: pg.Client, name: string): Promise<unknown[]> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const { rows } = await client.query(
      "SELECT application_name, state, query FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
      [name],
    )
    if (rows.length === 0 || performance.now() > deadline) return rows
    await delay(20)
  }
}
