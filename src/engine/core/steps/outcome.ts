import { resolve } from '../data.ts'
import type { Fact } from '../event.ts'
import { narrowed } from '../scope.ts'
import { behaviourOf, type Deciding } from './behaviour.ts'

/** What a composite's `output` comes to. `data` is the output that it would have by itself. */
export function decideOutcome({ plan, stepPlan, state, step, scope }: Deciding): Fact {
  const { output, after } = behaviourOf(stepPlan)
  const own = output?.(plan, stepPlan, state, step)
  const data = own ?? resolve(plan, state, after?.(step, step.data, stepPlan) ?? step.data)
  const value = stepPlan.outcome!.render(narrowed(scope, { data, locals: {} })) ?? null
  return { type: 'step.decided', path: step.path, data: { output: value } }
}
