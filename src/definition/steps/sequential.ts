import { Type } from 'typebox'
import type { StepPlan, StepPlanBase } from '../plan.ts'
import { Concurrency, compositeFields, StepList } from '../schema-fields.ts'
import type { StepLanguage } from './step-language.ts'

export interface SequentialPlan extends StepPlanBase {
  readonly type: 'sequential'
  readonly steps: readonly StepPlan[]
  /** Set when it was not written as a step but is a body of the one around it. */
  readonly body: Body | null
}

/** A list of steps that a step runs as a whole: a case, an iteration, a catch. It stands at `<step>[<label>]`. */
export interface Body {
  /** Which one it is; null: one instance an iteration, and its index is the label. */
  readonly label: string | null
  /** What stands before the index, where a step has two bodies with an instance an iteration. */
  readonly prefix?: string
  /** Names that only the steps within it have. */
  readonly locals: readonly string[]
  /** It runs when the flow is over: no part of the whole, and no surroundings but the execution. */
  readonly isAftermath?: boolean
}

const schema = Type.Object(
  {
    ...compositeFields('How long the whole step may take'),
    type: Type.Literal('sequential'),
    config: Type.Object({ steps: StepList('Steps in order', { minItems: 1 }) }, { additionalProperties: false }),
    concurrency: Type.Optional(Concurrency('Instances of the step')),
  },
  {
    $id: 'SequentialStep',
    additionalProperties: false,
    title: 'Sequential',
    description: 'Runs steps one after another',
  },
)

export const sequential: StepLanguage<SequentialPlan> = {
  schema,
  format: 1,
  compile(compiler, plan) {
    plan.steps = compiler.steps('steps')
    plan.body = null
  },
  isLeaf: () => false,
}
