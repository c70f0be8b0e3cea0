import type { Json, JsonObject } from '../../../definition/json.ts'
import type { Plan, SequentialPlan, StepPlan, SwitchPlan } from '../../../definition/plan.ts'
import { outputOf } from '../data.ts'
import type { Fact } from '../event.ts'
import { bodyPath, type DataRef, type ExecutionState, type Frame, labelOf, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding } from './behaviour.ts'
import { askToDecide, cancel, complete, fail, reach, restart as restartStep, skip } from './step.ts'

type Choice = Extract<Frame, { type: 'choice' }>

export function begin(turn: Turn, _plan: SwitchPlan, step: StepState): void {
  step.entered = true
  askToDecide(turn, step)
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

export function decide({ stepPlan, step, scope }: Deciding): Fact {
  const { cases, mode } = stepPlan as SwitchPlan
  const chosen: number[] = []
  for (const [index, { when }] of cases.entries()) {
    if (!when.evaluate(scope)) continue
    chosen.push(index)
    if (mode === 'first') break
  }
  return { type: 'step.decided', path: step.path, data: { cases: chosen } }
}

/** The cases that were chosen run at once, the others are skipped; with none and no default, `data` passes by. */
export function decided(turn: Turn, plan: SwitchPlan, step: StepState, data: JsonObject): void {
  const bodies = (data.cases as number[]).map((index) => plan.cases[index]!.body)
  if (bodies.length === 0 && plan.default !== null) bodies.push(plan.default)
  const frame: Choice = { type: 'choice', open: bodies.length, labels: bodies.map(nameOf) }
  step.frame = frame
  const chosen = new Set<StepPlan>(bodies)
  for (const other of plan.children) if (!chosen.has(other)) skip(turn, other, pathOf(step, other), step.data)
  for (const body of bodies) if (step.status === 'running') reach(turn, body, pathOf(step, body), step.data)
  if (frame.open === 0 && step.status === 'running') complete(turn, plan, step)
}

export function childEnded(turn: Turn, plan: SwitchPlan, step: StepState, _: StepPlan, child: StepState): void {
  const frame = step.frame as Choice
  frame.open -= 1
  if (child.status === 'failed') {
    for (const sibling of plan.children) cancel(turn, sibling, pathOf(step, sibling))
    return fail(turn, plan, step, child.error!)
  }
  if (frame.open === 0) complete(turn, plan, step)
}

export function restart(turn: Turn, plan: SwitchPlan, step: StepState): void {
  const frame = step.frame as Choice
  const again = plan.children.filter((body) => {
    const status = turn.state.steps.get(pathOf(step, body))?.status
    return status === 'failed' || status === 'cancelled'
  })
  frame.open = again.length
  for (const body of again) restartStep(turn, body, pathOf(step, body))
}

/** By name when all that are true run; of a single case its own. */
export function output(plan: Plan, stepPlan: SwitchPlan, state: ExecutionState, step: StepState): Json | undefined {
  if (stepPlan.mode === 'first') return undefined
  const outputs: JsonObject = {}
  for (const label of (step.frame as Choice).labels) {
    outputs[label] = outputOf(plan, state, state.steps.get(bodyPath(step.path, label))) ?? null
  }
  return outputs
}

export function after(step: StepState, before: DataRef, plan: SwitchPlan): DataRef {
  if (plan.mode === 'all') return step.path
  const [label] = (step.frame as Choice).labels
  return label === undefined ? before : bodyPath(step.path, label)
}

const nameOf = (body: SequentialPlan): string => body.body!.label!
const pathOf = (step: StepState, body: StepPlan): string => bodyPath(step.path, labelOf(body.id))
