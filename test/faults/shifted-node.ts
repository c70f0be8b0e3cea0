/** A node on a machine whose clock is wrong by SHIFT_MS; ends when its parent says so. */
const shift = Number(process.env.SHIFT_MS)
const now = Date.now
Date.now = () => now() + shift
Object.defineProperty(performance, 'timeOrigin', { value: performance.timeOrigin + shift })

const { WorkflowEngine } = await import('../../src/engine/engine.ts')
const engine = new WorkflowEngine({ databaseUrl: process.env.DATABASE_URL!, parkAfterMs: 20, leaseMs: 30_000 })
process.on('disconnect', () => process.exit(1))
await engine.start()
process.once('message', async () => {
  await engine.stop()
  process.disconnect()
})
process.send!('started')
