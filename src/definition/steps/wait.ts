import { Type } from 'typebox'
import { compileMoment, type Moment, momentFields } from '../compile/moment.ts'
import type { StepPlanBase } from '../plan.ts'
import { stepFields } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface WaitPlan extends StepPlanBase {
  readonly type: 'wait'
  readonly moment: Moment
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('wait'),
    config: Type.Object(momentFields, { additionalProperties: false }),
  },
  {
    $id: 'WaitStep',
    additionalProperties: false,
    title: 'Wait',
    description: 'Lets time pass; `data` passes it by unchanged. An execution that waits takes no memory',
  },
)

export const waitStep: StepLanguage<WaitPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const moment = compileMoment(compiler, compiler.config, [], 'A wait')
    if (moment !== null) plan.moment = moment
  },
  isLeaf: () => true,
}
