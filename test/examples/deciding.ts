import type { DecisionRequest } from '../../src/engine/approvals.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { seen } from '../engine/running-engine.ts'

/** Each decides the oldest approval that the execution has open, as soon as it has one. */
export async function decideAll(
  engine: WorkflowEngine,
  executionId: string,
  decisions: readonly DecisionRequest[],
): Promise<void> {
  const open = async () => (await engine.store.listApprovals({ executionId, status: 'open' }, 200)).items.at(-1)
  for (const decision of decisions) {
    if ((await open()) === undefined) await seen(engine, executionId, 'approval.requested')
    await engine.decideApproval((await open())!.id, decision)
  }
}
