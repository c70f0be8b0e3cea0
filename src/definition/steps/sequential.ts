import { Type } from 'typebox'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { durationMs, StepList, stepFields } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface SequentialPlan extends StepPlanBase {
  readonly type: 'sequential'
  readonly steps: readonly StepPlan[]
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('sequential'),
    config: Type.Object({ steps: StepList('Steps in order', { minItems: 1 }) }, { additionalProperties: false }),
    timeoutMs: Type.Optional(durationMs('How long the whole step may take')),
  },
  {
    $id: 'SequentialStep',
    additionalProperties: false,
    title: 'Sequential',
    description: 'Runs steps one after another',
  },
)

export const sequential: StepLanguage<SequentialPlan> = {
  schema,
  format: 1,
  compile(compiler, plan) {
    plan.steps = compiler.steps('steps')
  },
  isLeaf: () => false,
}
