import { Type } from 'typebox'
import type { Expression } from '../expression.ts'
import type { JsonObject } from '../json.ts'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, ErrorTypes, ExpressionText, LocalName, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

/** One way to go on after a failure. */
export interface Catch {
  /** Error types that it takes; null takes all. */
  readonly errors: readonly string[] | null
  readonly when: Expression | null
  /** The name under which its steps see the error. */
  readonly as: string
  readonly body: SequentialPlan
}

export interface TryPlan extends StepPlanBase {
  readonly type: 'try'
  readonly steps: SequentialPlan
  readonly catches: readonly Catch[]
  readonly finally: SequentialPlan | null
}

const schema = Type.Object(
  {
    ...compositeFields('How long the whole step may take; when it is over, `finally` does not run'),
    type: Type.Literal('try'),
    config: Type.Object(
      {
        steps: StepList('Steps in order that may fail', { minItems: 1 }),
        catch: Type.Optional(
          Type.Array(
            Type.Object(
              {
                errors: Type.Optional(ErrorTypes('Error types that it takes; all when left out')),
                when: Type.Optional(ExpressionText('Whether it takes the error.', ['error.details.status == 404'])),
                as: Type.Optional(
                  LocalName('The name under which the expressions of `when` and of the steps see the error', 'error'),
                ),
                steps: StepList('Steps in order instead of what failed'),
              },
              { additionalProperties: false },
            ),
            { maxItems: 100, description: 'Asked in order; the first that takes the error runs' },
          ),
        ),
        finally: Type.Optional(
          StepList(
            'Steps in order at the end, whatever has happened; once more, with the same idempotency keys, after a `retry` in which the steps or a catch go on',
            { minItems: 1 },
          ),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'TryStep',
    additionalProperties: false,
    title: 'Try',
    description:
      'Runs its steps and, when they fail, those of the first catch that takes the error; `finally` runs after either. A step that is cancelled runs none of them',
  },
)

export const tryStep: StepLanguage<TryPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { config } = compiler
    plan.steps = compiler.body(['steps'], { label: 'steps', locals: [] })
    plan.catches = (Array.isArray(config.catch) ? config.catch : []).map((one, index) => {
      const { errors, when, as: name } = (one ?? {}) as JsonObject
      const as = typeof name === 'string' ? name : 'error'
      return {
        errors: Array.isArray(errors) ? errors.map(String) : null,
        when: compiler.expressionAt(when, ['catch', index, 'when'], [as]),
        as,
        body: compiler.body(['catch', index, 'steps'], { label: `catch${index}`, locals: [as] }),
      }
    })
    plan.finally = config.finally === undefined ? null : compiler.body(['finally'], { label: 'finally', locals: [] })
    if (config.catch === undefined && config.finally === undefined)
      compiler.fault('catch', 'is missing: a try has catch, finally, or both')
  },
  isLeaf: () => false,
}
