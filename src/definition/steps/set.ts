import { Type } from 'typebox'
import type { StepPlanBase } from '../plan.ts'
import { stepFields } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface SetPlan extends StepPlanBase {
  readonly type: 'set'
  /** An object of values by name. */
  readonly variables: Template
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('set'),
    config: Type.Object(
      {
        variables: Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$' }), Type.Unknown(), {
          minProperties: 1,
          description: 'Values by name, templates allowed; all are evaluated before any is set',
          examples: [{ total: '{{ variables.total + data.amount }}' }],
        }),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'SetStep',
    additionalProperties: false,
    title: 'Set',
    description:
      'Gives variables new values; of steps that run at once each sees what those before it have set. `data` passes it by unchanged; its own output is what it has set',
  },
)

export const setStep: StepLanguage<SetPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const template = compiler.template(compiler.config.variables, ['variables'])
    if (template !== null) plan.variables = template
  },
  isLeaf: () => true,
}
