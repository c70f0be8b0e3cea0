/** Three nodes under load, killed at random and at named points, standing still, replaced while the load goes on. */
import t from 'tap'
import { createTestDatabase } from '../harness/database.ts'
import { standTrial } from './trial-by-fire.ts'

t.setTimeout(1_800_000)

t.test('whatever dies of three nodes, every promise is kept to every execution', async (t) => {
  const { url: databaseUrl } = await createTestDatabase(t)
  const seed = Date.now() % 1_000_000
  t.comment(`seed ${seed}; repeat with: npm run torture -- --seed ${seed}`)
  const trial = await standTrial({
    databaseUrl,
    nodes: 3,
    seed,
    leaseMs: 3_000,
    clients: 12,
    goesOn: (made) => made < 8,
    stopProbability: 0.3,
  })
  t.comment({ ...trial, faults: trial.faults.map(({ how }) => how) })
  t.same(trial.violations, [])
  t.ok(trial.executions > 0 && trial.ledgerEntries > 0, 'there was a load')
  t.ok(trial.recoveries.length > 0, 'dead nodes left executions behind, and others took them over')
})
