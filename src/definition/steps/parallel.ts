import { Type } from 'typebox'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, StepList } from '../schema-fields.ts'
import { compileJoin, type Join, joinFields, type Rest } from './join.ts'
import type { StepLanguage } from './step-language.ts'

export interface ParallelPlan extends StepPlanBase {
  readonly type: 'parallel'
  readonly steps: readonly StepPlan[]
  /** How many children may be under way at once; Infinity without a limit. */
  readonly concurrency: number
  /** By position: positions of the children that name this one as a dependency. */
  readonly dependants: readonly (readonly number[])[]
  /** When it is complete before all children have ended. */
  readonly join: Join
  readonly rest: Rest
  readonly onFailure: 'fail_fast' | 'wait_all' | 'continue'
}

const schema = Type.Object(
  {
    ...compositeFields('How long the whole step may take'),
    type: Type.Literal('parallel'),
    config: Type.Object(
      {
        steps: StepList('Steps that run at once, or when the siblings that they depend on are completed', {
          minItems: 1,
        }),
        concurrency: Type.Optional(
          Type.Integer({ minimum: 1, description: 'How many may run at once; all by default' }),
        ),
        ...joinFields('steps'),
        onFailure: Type.Optional(
          Type.Enum(['fail_fast', 'wait_all', 'continue'], {
            type: 'string',
            default: 'fail_fast',
            description:
              'fail_fast fails and cancels the rest as soon as the join cannot be reached any more, of which a condition says nothing before all have ended; wait_all lets the rest end first; continue goes on without the steps that failed',
          }),
        ),
      },
      { additionalProperties: false },
    ),
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
  format: ({ join, onFailure }) => (join === null && onFailure === 'fail_fast' ? 1 : 2),
  compile(compiler, plan) {
    const { concurrency, onFailure } = compiler.config
    plan.steps = compiler.steps('steps')
    plan.concurrency = typeof concurrency === 'number' ? concurrency : Number.POSITIVE_INFINITY
    Object.assign(plan, compileJoin(compiler, ['step', 'steps'], plan.steps.length))
    plan.onFailure = (onFailure ?? 'fail_fast') as ParallelPlan['onFailure']
  },
  isLeaf: () => false,
}
