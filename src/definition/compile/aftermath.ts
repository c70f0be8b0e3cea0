import type { Json, JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { SequentialPlan, StepPlan } from '../plan.ts'
import { compileAction } from './action.ts'
import type { Compilation, Draft } from './draft.ts'
import { StepCompiler } from './step-compiler.ts'
import { compileBody, draftOf, register } from './steps.ts'

/** The steps that run when the execution fails; they see its `error`. */
export function compileOnFailure(steps: Json | undefined, root: Draft, all: Compilation): SequentialPlan | null {
  if (steps === undefined) return null
  const body = { label: 'onFailure', locals: ['error'], isAftermath: true }
  return compileBody(steps, '/onFailure', root, 'onFailure', body, all)
}

/**
 * What takes back what the step has done: steps, or one action, which is retried and timed as the step itself. It sees the
 * step as `completed {data, output, meta}`, and as `error` why it runs.
 */
export function compileCompensation(step: JsonObject, draft: Draft, all: Compilation): SequentialPlan | null {
  const { compensate } = step
  if (typeof compensate !== 'object' || compensate === null) return null
  const pointer = pointerTo(draft.pointer, 'compensate')
  if (draft.plan.isAftermath) {
    const message = isCompensated(draft)
      ? 'is itself within a compensation, which nothing takes back; leave it out'
      : 'is within onFailure, which nothing takes back; leave it out'
    all.faults.push({ pointer, message })
    return null
  }
  if (draft.plan.type === 'condition' && draft.plan.branches === null) {
    all.faults.push({ pointer, message: 'is for a condition with branches: this one does nothing to be taken back' })
    return null
  }
  if (all.drafts.has(`${draft.id}[compensate]`))
    all.faults.push({ pointer, message: 'is what a case or branch of the step is called; give that another name' })
  const steps = Array.isArray(compensate) ? compensate : []
  const body = { label: 'compensate', locals: ['completed', 'error'], isAftermath: true }
  const plan = compileBody(steps, pointer, draft, 'compensate', body, all)
  if (!Array.isArray(compensate)) plan.steps = [compileSingle(compensate, pointer, step, draft, all)]
  return plan
}

const isCompensated = ({ list, parent }: Draft): boolean =>
  list === 'compensate' || (parent !== null && isCompensated(parent))

/** An action that is written alone is a step all the same: it has an id and a path, retries and shows. */
function compileSingle(
  config: JsonObject,
  pointer: string,
  owner: JsonObject,
  draft: Draft,
  all: Compilation,
): StepPlan {
  const { retryPolicy, timeoutMs } = owner
  const step: JsonObject = {
    id: `compensate-${draft.id}`,
    name: `Compensate ${draft.plan.name}`,
    type: 'action',
    ...(retryPolicy !== undefined && { retryPolicy }),
    // That of another step is for all that it does.
    ...(timeoutMs !== undefined && draft.plan.type === 'action' && { timeoutMs }),
  }
  const body = draft.aftermath.at(-1)!
  const { depth, locals } = body
  const place = { pointer, configPointer: pointer, parent: body, list: 'steps', position: 0, depth: depth + 1, locals }
  const single = draftOf(step, 'action', place)
  all.steps++
  register(single, all)
  compileAction(new StepCompiler(step, config, single, all), single.plan as Parameters<typeof compileAction>[1])
  body.children.push(single)
  return single.plan
}
