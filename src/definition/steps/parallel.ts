import { Type } from 'typebox'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { durationMs, StepList, stepFields } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface ParallelPlan extends StepPlanBase {
  readonly type: 'parallel'
  readonly steps: readonly StepPlan[]
  /** How many children may be under way at once; Infinity without a limit. */
  readonly concurrency: number
  /** By position: positions of the children that name this one as a dependency. */
  readonly dependants: readonly (readonly number[])[]
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('parallel'),
    config: Type.Object(
      {
        steps: StepList('Steps that run at once, or when the siblings that they depend on are completed', {
          minItems: 1,
        }),
        concurrency: Type.Optional(
          Type.Integer({ minimum: 1, description: 'How many may run at once; all by default' }),
        ),
      },
      { additionalProperties: false },
    ),
    timeoutMs: Type.Optional(durationMs('How long the whole step may take')),
  },
  {
    $id: 'ParallelStep',
    additionalProperties: false,
    title: 'Parallel',
    description: 'Runs steps at once; dependencies make it a graph',
  },
)

export const parallel: StepLanguage<ParallelPlan> = {
  schema,
  format: 1,
  compile(compiler, plan) {
    const { concurrency } = compiler.config
    plan.steps = compiler.steps('steps')
    plan.concurrency = typeof concurrency === 'number' ? concurrency : Number.POSITIVE_INFINITY
  },
  isLeaf: () => false,
}
