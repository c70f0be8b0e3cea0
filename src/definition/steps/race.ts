import { Type } from 'typebox'
import type { JsonObject } from '../json.ts'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, Id, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface RacePlan extends StepPlanBase {
  readonly type: 'race'
  readonly branches: readonly SequentialPlan[]
  /** What of a branch must be completed for it to win. */
  readonly decidedBy: 'first_step' | 'all_steps'
}

const schema = Type.Object(
  {
    ...compositeFields('How long the whole step may take'),
    type: Type.Literal('race'),
    config: Type.Object(
      {
        branches: Type.Array(
          Type.Object(
            {
              name: Type.Optional(Id('Unique among the branches')),
              steps: StepList('Steps in order, often first a wait or a wait_for_signal', { minItems: 1 }),
            },
            { additionalProperties: false },
          ),
          {
            minItems: 2,
            maxItems: 1000,
            description: 'All begin at once. A branch is named by `name`, or by its index',
          },
        ),
        decidedBy: Type.Optional(
          Type.Enum(['first_step', 'all_steps'], {
            type: 'string',
            default: 'first_step',
            description:
              'first_step: the branch whose first step is completed first has won, the others are cancelled, and the rest of its steps runs; all_steps: the branch that is completed first has won',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'RaceStep',
    additionalProperties: false,
    title: 'Race',
    description:
      'Begins all its branches; the first one wins and the others are cancelled. The output is {winner, output}: the name of the branch and its output. A branch that fails, or in which nothing is completed, drops out; when all have, the race fails as the first of them did, or ends with the winner null',
  },
)

export const raceStep: StepLanguage<RacePlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { branches, decidedBy } = compiler.config
    const labels = new Set<string>()
    plan.branches = (Array.isArray(branches) ? branches : []).map((one, index) => {
      const { name } = (one ?? {}) as JsonObject
      const label = typeof name === 'string' ? name : String(index)
      if (labels.has(label)) compiler.faultAt(['branches', index, 'name'], `"${label}" names another branch too`)
      labels.add(label)
      return compiler.body(['branches', index, 'steps'], { label, locals: [] })
    })
    plan.decidedBy = decidedBy === 'all_steps' ? 'all_steps' : 'first_step'
  },
  isLeaf: () => false,
}
