import type pg from 'pg'
import t from 'tap'
import { v7 } from 'uuid'
import { insertSleepers } from '../../perf/sleeper-rows.ts'
import { claimStatement } from '../../src/repository/claim.ts'
import { createTestStore, registerTestNode } from '../harness/rows.ts'
import { withClient } from '../harness/server.ts'

const sleeping = 20_000
const due = 40

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly Alias?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly PlanNode[]
}

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** Every access to the executions that the claim of one batch makes, and how many rows each looks at. */
async function accesses(client: pg.ClientBase, node: string) {
  const { rows } = await client.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${claimStatement}`, [node, 10, 10, [1]])
  return nodesOf(rows[0]['QUERY PLAN'][0].Plan)
    .filter((access) => access['Relation Name'] === 'workflow_executions' && access['Node Type'] !== 'ModifyTable')
    .map((access) => ({
      type: access['Node Type'],
      index: access['Index Name'] ?? null,
      alias: access.Alias,
      rows: (access['Actual Rows'] + (access['Rows Removed by Filter'] ?? 0)) * access['Actual Loops'],
    }))
}

for (const isAnalysed of [false, true]) {
  const statistics = isAnalysed ? 'after ANALYZE' : 'with the statistics of an empty table'
  t.test(`a claim looks at what it takes, however many sleep, ${statistics}`, async (t) => {
    const { store, url } = await createTestStore(t)
    const node = await registerTestNode(store)
    await withClient(url, async (client) => {
      // Autovacuum must not change what this test is about.
      await client.query('ALTER TABLE workflow_executions SET (autovacuum_enabled = false)')
      await client.query('ANALYZE workflow_executions')
      const workflowId = v7()
      await insertSleepers(client, { workflowId, count: sleeping, dueFrom: Date.now() + 3_600_000, overMs: 3_600_000 })
      await insertSleepers(client, { workflowId, count: due, dueFrom: Date.now() - 10_000, overMs: 1_000 })
      if (isAnalysed) await client.query('ANALYZE workflow_executions')
      // The last batches pass over the entries that the first ones left behind in the index.
      for (let claimed = 0; claimed < due; claimed += 10) {
        const made = await accesses(client, node)
        t.same(
          made.filter((access) => access.type === 'Seq Scan'),
          [],
        )
        const most = Math.max(...made.map((access) => access.rows))
        t.ok(most >= 10 && most <= due + 10, `${most} rows at most`)
      }
    })
    t.equal((await store.findOwned(node)).length, due)
  })
}
