import { Type } from 'typebox'
import type { StepPlanBase } from '../plan.ts'
import { stepFields } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface FailPlan extends StepPlanBase {
  readonly type: 'fail'
  readonly error: string
  readonly message: Template
  readonly details: Template | null
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('fail'),
    config: Type.Object(
      {
        error: Type.String({
          pattern: '^[A-Za-z][A-Za-z0-9_.]{0,99}$',
          description: 'The type of the error, which a catch may name',
          examples: ['OutOfStock'],
        }),
        message: Type.String({ minLength: 1, description: 'For people, templates allowed' }),
        details: Type.Optional(
          Type.Record(Type.String(), Type.Unknown(), { description: 'For programs, templates allowed' }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  { $id: 'FailStep', additionalProperties: false, title: 'Fail', description: 'Fails with an error of its own type' },
)

export const failStep: StepLanguage<FailPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { error, message, details } = compiler.config
    plan.error = String(error)
    const text = compiler.template(message, ['message'])
    if (text !== null) plan.message = text
    plan.details = compiler.template(details, ['details'])
  },
  isLeaf: () => true,
}
