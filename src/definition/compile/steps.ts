import type { Json, JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import { isStepType, languageOf, type StepType, stepTypes } from '../language.ts'
import { didYouMean } from '../nearest.ts'
import type { SequentialPlan } from '../plan.ts'
import type { Body } from '../steps/sequential.ts'
import type { Mutable } from '../steps/step-language.ts'
import { compileCompensation } from './aftermath.ts'
import type { Compilation, Draft, StepPlanDraft } from './draft.ts'
import { compileAt } from './expression-at.ts'
import { stepFaults } from './shapes.ts'
import { compileConcurrency } from './slot.ts'
import { StepCompiler } from './step-compiler.ts'
import { templateAt } from './template-at.ts'

/** Most steps of a definition, and how deep they may nest. */
export const MAX_STEPS = 10_000
export const MAX_NESTING = 100

/** Compiles a list of steps and, through them, all that stand within. */
export function compileList(
  steps: Json | undefined,
  pointer: string,
  parent: Draft,
  list: Draft['list'],
  all: Compilation,
): Draft[] {
  if (!Array.isArray(steps)) return []
  if (parent.depth >= MAX_NESTING && steps.length > 0) {
    all.faults.push({ pointer, message: `nests steps deeper than ${MAX_NESTING} levels; use fewer levels` })
    return []
  }
  return steps.flatMap((step, position) => {
    const place = {
      pointer: pointerTo(pointer, position),
      configPointer: pointerTo(pointerTo(pointer, position), 'config'),
      parent,
      list,
      position,
      depth: parent.depth + 1,
      locals: parent.locals,
    }
    const draft =
      typeof step === 'object' && step !== null && !Array.isArray(step) ? compileStep(step, place, all) : null
    if (draft) parent.children.push(draft)
    return draft ?? []
  })
}

type Place = Pick<Draft, 'pointer' | 'configPointer' | 'parent' | 'list' | 'position' | 'depth' | 'locals'>

function compileStep(step: JsonObject, place: Place, all: Compilation): Draft | null {
  all.steps++
  const { type } = step
  if (!isStepType(type)) {
    all.faults.push(unknownType(type, place.pointer))
    if (typeof step.id === 'string') register(draftOf(step, 'sequential', place), all)
    return null
  }
  const draft = draftOf(step, type, place)
  if (typeof step.id === 'string') register(draft, all)
  all.faults.push(...stepFaults(type, step, place.pointer))
  compileWhen(step, draft, all)
  collectDependencies(step, draft)
  draft.plan.slot = compileConcurrency(step, draft, all)
  if (typeof step.config === 'object' && step.config !== null && !Array.isArray(step.config)) {
    compileConfig(step, step.config, draft, all)
    compileOutcome(step, draft, all)
    draft.plan.compensation = compileCompensation(step, draft, all)
  }
  return draft
}

function unknownType(type: Json | undefined, pointer: string) {
  const message =
    type === undefined
      ? `is missing; there are ${stepTypes.join(', ')}`
      : `${JSON.stringify(type)} is no type of step; there are ${stepTypes.join(', ')}.${didYouMean(String(type), stepTypes)}`
  return { pointer: pointerTo(pointer, 'type'), message }
}

export function register(draft: Draft, all: Compilation): void {
  const other = all.drafts.get(draft.id)
  if (!other) all.drafts.set(draft.id, draft)
  else {
    const message = `"${draft.id}" is the id of ${other.pointer} too; ids are unique in the whole definition`
    all.faults.push({ pointer: pointerTo(draft.pointer, 'id'), message })
  }
}

/** A draft with what every step has; weight, number and what is a leaf follow when the tree is complete. */
export function draftOf(step: JsonObject, type: StepType, place: Place): Draft {
  const id = typeof step.id === 'string' ? step.id : ''
  const plan = {
    type,
    id,
    name: typeof step.name === 'string' ? step.name : id,
    parent: place.parent?.plan ?? null,
    children: [],
    isLeaf: false,
    position: place.position,
    number: 0,
    weight: 0,
    when: null,
    dependencies: Array.isArray(step.dependencies) ? step.dependencies : [],
    timeoutMs: typeof step.timeoutMs === 'number' ? step.timeoutMs : null,
    outcome: null,
    compensation: null,
    isRepeated: isRepeated(place.parent?.plan),
    isAftermath: place.parent?.plan.isAftermath ?? false,
    slot: null,
  } as unknown as StepPlanDraft
  return { ...place, id, plan, children: [], aftermath: [], references: [], dependencies: [] }
}

const isRepeated = (parent: StepPlanDraft | undefined): boolean =>
  parent !== undefined && (parent.isRepeated || (parent.type === 'sequential' && parent.body?.label === null))

/** A body of a step, made of a list in its config; it is a step of the plan, but not of the definition. */
export function compileBody(
  steps: Json | undefined,
  pointer: string,
  owner: Draft,
  list: string,
  body: Body,
  all: Compilation,
): Mutable<SequentialPlan> {
  const id = `${owner.id}[${body.label ?? body.prefix ?? ''}]`
  // What runs when the flow is over stands in no loop any more.
  const { isAftermath = false } = body
  const locals = isAftermath ? body.locals : [...owner.locals, ...body.locals]
  const siblings = isAftermath ? owner.aftermath : owner.children
  const place = {
    pointer,
    configPointer: pointer,
    parent: owner,
    list,
    position: siblings.length,
    depth: owner.depth + 1,
    locals,
  }
  const draft = draftOf({ id }, 'sequential', place)
  const plan = Object.assign(draft.plan, { body }) as unknown as Mutable<SequentialPlan>
  plan.isAftermath ||= isAftermath
  siblings.push(draft)
  all.drafts.set(id, draft)
  plan.steps = compileList(steps, pointer, draft, 'steps', all).map((child) => child.plan)
  return plan
}

function collectDependencies(step: JsonObject, draft: Draft): void {
  if (!Array.isArray(step.dependencies)) return
  const pointer = pointerTo(draft.pointer, 'dependencies')
  for (const [index, stepId] of step.dependencies.entries()) {
    if (typeof stepId === 'string') draft.dependencies.push({ stepId, pointer: pointerTo(pointer, index) })
  }
}

function compileWhen(step: JsonObject, draft: Draft, all: Compilation): void {
  // An empty text is refused with the step's other fields.
  if (typeof step.when === 'string' && step.when !== '')
    draft.plan.when = compileAt(step.when, pointerTo(draft.pointer, 'when'), draft, all)
}

/** A composite's `output`; other types of steps refuse the field, but for a condition that turns out to have no branches. */
function compileOutcome(step: JsonObject, draft: Draft, all: Compilation): void {
  if (step.output === undefined) return
  const pointer = pointerTo(draft.pointer, 'output')
  if (draft.plan.type === 'condition' && draft.plan.branches === null)
    all.faults.push({ pointer, message: 'is for a condition with branches: what this one finds is its output' })
  draft.plan.outcome = templateAt(step.output, pointer, draft, all, { isLate: true })
}

function compileConfig(step: JsonObject, config: JsonObject, draft: Draft, all: Compilation): void {
  languageOf(draft.plan.type).compile(new StepCompiler(step, config, draft, all), draft.plan)
}
