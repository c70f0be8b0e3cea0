import { Type } from 'typebox'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, durationMs, StepList, storedText } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

/** Steps in order, while the execution holds the mutex: the step's slot. */
export interface CriticalSectionPlan extends StepPlanBase {
  readonly type: 'critical_section'
  readonly steps: readonly StepPlan[]
}

const schema = Type.Object(
  {
    ...compositeFields('How long it may take once it has the mutex'),
    type: Type.Literal('critical_section'),
    config: Type.Object(
      {
        mutex: {
          ...storedText(200, 'Its name, the same for all who exclude each other; templates allowed', 1),
          examples: ['account-{{ input.account }}'],
        },
        waitTimeoutMs: Type.Optional(
          durationMs('How long it waits for the mutex before it fails with ConcurrencyTimeout', { examples: [60_000] }),
        ),
        steps: StepList('Steps in order, while it is held', { minItems: 1 }),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'CriticalSectionStep',
    additionalProperties: false,
    title: 'Critical section',
    description:
      'Runs steps one after another while no other section with a mutex of that name runs, in any branch or execution of the namespace, on any node. Who asks first goes first; who waits takes no memory. The mutex is given back however the section ends. It waits for as long as that takes, unless `waitTimeoutMs` says otherwise',
  },
)

export const criticalSectionStep: StepLanguage<CriticalSectionPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    plan.slot = compiler.mutex('mutex')
    plan.steps = compiler.steps('steps')
  },
  isLeaf: () => false,
}
