import { Type } from 'typebox'
import type { Draft } from '../compile/draft.ts'
import type { StepPlanBase } from '../plan.ts'
import { stepFields } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface CompletePlan extends StepPlanBase {
  readonly type: 'complete'
  /** The step around it that it ends; '' is the whole execution. */
  readonly scope: string
  /** What that comes to; null: `data` as it is here. */
  readonly output: Template | null
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('complete'),
    config: Type.Object(
      {
        scope: Type.Optional(
          Type.String({
            minLength: 1,
            description: 'The id of a step around this one; without it the whole execution ends',
          }),
        ),
        output: Type.Optional(
          Type.Unknown({ description: 'The output of what it ends, templates allowed; `data` by default' }),
        ),
      },
      {
        additionalProperties: false,
      },
    ),
  },
  {
    $id: 'CompleteStep',
    additionalProperties: false,
    title: 'Complete',
    description: 'Ends the execution, or the step around it that `scope` names, well; what runs within is cancelled',
  },
)

export const completeStep: StepLanguage<CompletePlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { scope, output } = compiler.config
    plan.scope = typeof scope === 'string' ? scope : ''
    plan.output = compiler.template(output, ['output'])
    if (plan.scope === '' && plan.isAftermath)
      compiler.fault('scope', 'is missing: the flow is over, so only a step around this one can be ended')
    if (plan.scope === '') return
    const around = surroundings(compiler.draft)
    if (around.includes(plan.scope)) return
    const known = around.length === 0 ? 'it stands in none' : `it stands in ${around.map((id) => `"${id}"`).join(', ')}`
    compiler.fault('scope', `"${plan.scope}" is no step around this one: ${known}`)
  },
  isLeaf: () => true,
}

/** The ids of the steps that a step stands in, from the nearest; bodies have no id of their own. */
function surroundings({ parent }: Draft): string[] {
  if (parent === null || parent.id === '') return []
  const body = parent.plan.type === 'sequential' ? parent.plan.body : null
  if (body?.isAftermath) return []
  return body ? surroundings(parent) : [parent.id, ...surroundings(parent)]
}
