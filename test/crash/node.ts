import { buildApp } from '../../src/app.ts'
import { type AtPoint, observeAttempts, pointsOf } from './points.ts'
import { scenarioEngine } from './scenario.ts'

/*
 * One whole node as a process: engine and HTTP. It tells its parent where it listens and, at each beginning of a life, under
 * which id. At its nth coming to the point DIE_AT it gets the signal SIGNAL, and does nothing more before it is continued.
 */
const { DATABASE_URL, LEDGER_URL, LEASE_MS, DIE_AT, DIE_AT_NTH, SIGNAL } = process.env as Record<string, string>

// It must not outlive its parent.
process.on('disconnect', () => process.exit(1))

let left = Number(DIE_AT_NTH ?? 1)
const at: AtPoint = (point) => {
  if (point !== DIE_AT || --left !== 0) return
  process.kill(process.pid, SIGNAL)
}

const { openStorage } = pointsOf(at)
const engine = scenarioEngine({
  databaseUrl: DATABASE_URL!,
  ledgerUrl: LEDGER_URL!,
  leaseMs: Number(LEASE_MS),
  observer: observeAttempts(at),
  seams: {
    async openStorage(settings) {
      const storage = await openStorage!(settings)
      const { registerNode } = storage.store
      storage.store.registerNode = (node) => {
        process.send!({ node: node.id })
        return registerNode(node)
      }
      return storage
    },
  },
})
await engine.start()
const app = buildApp({ engine })
process.send!({ url: await app.listen({ host: '127.0.0.1', port: 0 }) })
process.on('message', async () => {
  await app.close()
  await engine.stop()
  process.disconnect()
})
