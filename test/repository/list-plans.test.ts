/** Lists and changes walk an index in the order that they answer in, and look at no more than they answer: W8. */
import t from 'tap'
import { Explainer, type Plan } from '../../perf/explain.ts'
import { fill, workflowId } from '../../perf/history-fill.ts'
import type { ExecutionFilter } from '../../src/repository/executions.ts'
import { createTestStore } from '../harness/rows.ts'
import { withClient } from '../harness/server.ts'

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly PlanNode[]
}

const executions = 20_000
const dayMs = 86_400_000
const limit = 10

const nodesOf = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]

/** The indexes, and how many rows of one table at most were looked at. */
function read(plans: readonly Plan[]): { readonly indexes: string[]; readonly most: number } {
  const nodes = plans.flatMap(({ tree }) => nodesOf(tree as PlanNode))
  const looked = new Map<string, number>()
  for (const node of nodes) {
    const table = node['Relation Name']
    const rows = (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']
    if (table !== undefined) looked.set(table, (looked.get(table) ?? 0) + rows)
  }
  return { indexes: plans.flatMap(({ indexes }) => indexes).sort(), most: Math.max(...looked.values()) }
}

t.test('lists and changes look at what they answer, however much there is', async (t) => {
  const explainer = new Explainer()
  explainer.install()
  t.teardown(() => explainer.uninstall())
  const { store, url } = await createTestStore(t)
  const now = Date.now()
  await withClient(url, async (client) => {
    await fill(client, { executions, events: 2 }, () => {})
    await client.query('VACUUM ANALYZE workflow_executions')
  })
  const long = { createdAfter: now - 60 * dayMs, createdBefore: now - 50 * dayMs }
  const tag = 'tag-12'
  const lists: [what: string, filter: ExecutionFilter, index: string][] = [
    ['newest', {}, 'workflow_executions_pkey'],
    ['of a time', long, 'workflow_executions_pkey'],
    ['completed', { status: 'completed' }, 'workflow_executions_pkey'],
    ['failed', { status: 'failed' }, 'workflow_executions_status'],
    ['failed, of a time', { status: 'failed', ...long }, 'workflow_executions_status'],
    ['running', { status: 'running' }, 'workflow_executions_running'],
    ['failed of a workflow', { status: 'failed', workflowId: workflowId(16) }, 'workflow_executions_workflow_status'],
    ['of a workflow', { workflowId: workflowId(7) }, 'workflow_executions_workflow'],
    ['of a workflow, of a time', { workflowId: workflowId(7), ...long }, 'workflow_executions_workflow'],
    ['completed of a workflow', { workflowId: workflowId(7), status: 'completed' }, 'workflow_executions_workflow'],
    ['of whom', { triggeredBy: 'user-500' }, 'workflow_executions_triggered_by'],
    ['of whom, of a time', { triggeredBy: 'user-500', ...long }, 'workflow_executions_triggered_by'],
    ['of a tag', { tag }, 'execution_tags_pkey'],
    ['of a tag, of a time', { tag, ...long }, 'execution_tags_pkey'],
  ]
  for (const [what, filter, index] of lists) {
    const page = await store.listExecutions(filter, limit)
    const pages = [undefined, ...(page.nextCursor === null ? [] : [page.nextCursor])]
    for (const cursor of pages) {
      const plans = await explainer.plansOf(() => store.listExecutions(filter, limit, cursor))
      const { indexes, most } = read(plans)
      t.ok(indexes.includes(index), `${what}: ${indexes}`)
      t.ok(most <= 2 * limit, `${what}: ${most} rows`)
      t.same(
        plans.flatMap(({ scanned }) => scanned),
        [],
      )
    }
  }
  const some = [workflowId(7), workflowId(16)]
  const plans = await explainer.plansOf(() => store.executionsChangedSince(some, now - 90 * dayMs, limit))
  const { indexes, most } = read(plans)
  t.match(indexes, ['execution_events_pkey', 'workflow_executions_changed', 'workflow_executions_finished'])
  t.ok(most <= 4 * limit, `changes: ${most} rows`)
})
