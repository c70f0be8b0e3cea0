import { Type } from 'typebox'
import type { Expression } from '../expression.ts'
import type { JsonObject } from '../json.ts'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, ExpressionText, Id, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface SwitchPlan extends StepPlanBase {
  readonly type: 'switch'
  readonly cases: readonly { readonly when: Expression; readonly body: SequentialPlan }[]
  readonly default: SequentialPlan | null
  /** `all` runs every case that is true at once, and goes on when all of them have ended. */
  readonly mode: 'first' | 'all'
}

const schema = Type.Object(
  {
    ...compositeFields('How long the whole step may take'),
    type: Type.Literal('switch'),
    config: Type.Object(
      {
        cases: Type.Array(
          Type.Object(
            {
              name: Type.Optional(Id('Unique among the cases, and not "default"')),
              when: ExpressionText('Whether the case is taken.', ['input.total > 1000']),
              steps: StepList('Steps in order', { minItems: 1 }),
            },
            { additionalProperties: false },
          ),
          { minItems: 1, maxItems: 1000, description: 'Asked in order. A case is named by `name`, or by its index' },
        ),
        default: Type.Optional(StepList('Steps in order when no case is true')),
        mode: Type.Optional(
          Type.Enum(['first', 'all'], {
            type: 'string',
            default: 'first',
            description: 'first takes the first case that is true, all takes every one of them at once and joins them',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'SwitchStep',
    additionalProperties: false,
    title: 'Switch',
    description:
      'Takes the first case that is true, or all of them. Its output is that of the case; with `mode: all` each case’s by name',
  },
)

export const switchStep: StepLanguage<SwitchPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { cases, mode } = compiler.config
    const labels = new Set<string>(['default'])
    plan.cases = (Array.isArray(cases) ? cases : []).flatMap((one, index) => {
      const { name, when } = (one ?? {}) as JsonObject
      const label = typeof name === 'string' ? name : String(index)
      if (labels.has(label)) compiler.faultAt(['cases', index, 'name'], `"${label}" names another case too`)
      labels.add(label)
      const expression = compiler.expressionAt(when, ['cases', index, 'when'])
      const body = compiler.body(['cases', index, 'steps'], { label, locals: [] })
      return expression === null ? [] : [{ when: expression, body }]
    })
    plan.default =
      compiler.config.default === undefined ? null : compiler.body(['default'], { label: 'default', locals: [] })
    plan.mode = mode === 'all' ? 'all' : 'first'
  },
  isLeaf: () => false,
}
