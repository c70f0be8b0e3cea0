import type { Plan } from '../definition/plan.ts'
import type { ExecutionRow, ExecutionView } from '../repository/executions.ts'
import type { Progress } from './core/progress.ts'

/** What is left to say when the journal cannot be folded. */
export function progressOfRow(row: ExecutionRow | ExecutionView, plan: Plan | null): Progress {
  return {
    executionId: row.id,
    status: row.status,
    requested: row.requested,
    currentStep: null,
    completedSteps: 0,
    totalSteps: plan?.leafCount ?? 0,
    percentage: 'percentage' in row ? row.percentage : row.status === 'completed' ? 100 : 0,
    estimatedRemainingMs: null,
    estimatedCompletionAt: null,
    steps: [],
    startedAt: row.startedAt,
    updatedAt: row.updatedAt,
    lastSeq: row.lastSeq,
  }
}
