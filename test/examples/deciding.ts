import type { DecisionRequest } from '../../src/engine/approvals.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { until } from '../harness/condition.ts'

/** Each decides the oldest approval that the execution has open and none of them has decided, as soon as it has one. */
export async function decideAll(
  engine: WorkflowEngine,
  executionId: string,
  decisions: readonly DecisionRequest[],
): Promise<void> {
  const decided = new Set<string>()
  for (const decision of decisions) {
    const { id } = await until('an approval is open', async () => {
      const { items } = await engine.store.listApprovals({ executionId, status: 'open' }, 200)
      return items.findLast(({ id }) => !decided.has(id)) ?? null
    })
    decided.add(id)
    await engine.decideApproval(id, decision)
  }
}
