import { Type } from 'typebox'
import type { Expression } from '../expression.ts'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, ExpressionText, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

/** `while` asks before each iteration, `until` after it. */
export interface WhilePlan extends StepPlanBase {
  readonly type: 'while' | 'until'
  readonly condition: Expression
  readonly body: SequentialPlan
  readonly maxIterations: number
}

const MAX_ITERATIONS = 1_000_000_000

const schemaOf = (type: 'while' | 'until', $id: string, title: string, description: string) =>
  Type.Object(
    {
      ...compositeFields('How long all iterations together may take'),
      type: Type.Literal(type),
      config: Type.Object(
        {
          condition: ExpressionText('`data` is what the iteration before came to, `index` how many there were.', [
            'data.cursor != null',
            "data.status == 'ready'",
          ]),
          steps: StepList('Steps in order; `index` is the number of the iteration, from 0', { minItems: 1 }),
          maxIterations: Type.Integer({
            minimum: 1,
            maximum: MAX_ITERATIONS,
            description: 'One more is wanted: the step fails as LoopLimitExceeded',
          }),
        },
        { additionalProperties: false },
      ),
    },
    { $id, additionalProperties: false, title, description },
  )

const languageOf = (schema: StepLanguage['schema']): StepLanguage<WhilePlan> => ({
  schema,
  format: 2,
  compile(compiler, plan) {
    const { maxIterations } = compiler.config
    const condition = compiler.expression('condition', ['index'])
    if (condition !== null) plan.condition = condition
    plan.body = compiler.body(['steps'], { label: null, locals: ['index'] })
    plan.maxIterations = typeof maxIterations === 'number' ? maxIterations : 1
  },
  isLeaf: () => false,
})

export const whileStep = languageOf(
  schemaOf('while', 'WhileStep', 'While', 'Repeats its steps as long as the condition is true'),
)
export const untilStep = languageOf(
  schemaOf('until', 'UntilStep', 'Until', 'Repeats its steps, at least once, until the condition is true'),
)
