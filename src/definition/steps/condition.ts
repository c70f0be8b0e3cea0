import { Type } from 'typebox'
import type { Expression } from '../expression.ts'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, ExpressionText, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface ConditionPlan extends StepPlanBase {
  readonly type: 'condition'
  readonly condition: Expression
  /** The branches; both null makes it a gate, which is a leaf. A branch that is left out is an empty list. */
  readonly branches: { readonly then: readonly StepPlan[]; readonly else: readonly StepPlan[] } | null
  /** What a gate does when its condition is false. */
  readonly onFalse: 'skip_rest' | 'continue' | 'fail'
}

const schema = Type.Object(
  {
    ...compositeFields('How long the step may take, its branch included'),
    type: Type.Literal('condition'),
    config: Type.Object(
      {
        condition: ExpressionText('What is asked.', ['data.length > 0']),
        then: Type.Optional(StepList('Steps in order when it is true')),
        else: Type.Optional(StepList('Steps in order when it is false')),
        onFalse: Type.Optional(
          Type.Enum(['skip_rest', 'continue', 'fail'], {
            type: 'string',
            default: 'skip_rest',
            description:
              'Without branches: what happens when it is false. skip_rest ends the nearest sequential well, continue goes on, fail fails',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'ConditionStep',
    additionalProperties: false,
    title: 'Condition',
    description: 'Takes one of two branches, or is a gate without them',
  },
)

export const condition: StepLanguage<ConditionPlan> = {
  schema,
  format: 1,
  compile(compiler, plan) {
    const { config } = compiler
    const isGate = config.then === undefined && config.else === undefined
    if (!isGate && config.onFalse !== undefined) {
      compiler.fault('onFalse', 'is for a condition without then and else; leave it out, or them')
    }
    const condition = compiler.expression('condition')
    if (condition !== null) plan.condition = condition
    plan.branches = isGate ? null : { then: compiler.steps('then'), else: compiler.steps('else') }
    plan.onFalse = (config.onFalse ?? 'skip_rest') as ConditionPlan['onFalse']
  },
  isLeaf: (plan) => plan.branches === null,
}
