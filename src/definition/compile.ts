import { compileOnFailure } from './compile/aftermath.ts'
import { documentOf } from './compile/document.ts'
import type { Compilation, Draft, Reference } from './compile/draft.ts'
import { inDocumentOrder } from './compile/fault-order.ts'
import { closedNames, compileInputSchema } from './compile/input-schema.ts'
import { numberSteps } from './compile/numbering.ts'
import { checkReferences } from './compile/references.ts'
import { compileRetryPolicy } from './compile/retry-policy.ts'
import { definitionFaults } from './compile/shapes.ts'
import { signalFaultsOf } from './compile/signals.ts'
import { compileConcurrency } from './compile/slot.ts'
import { compileList, MAX_STEPS } from './compile/steps.ts'
import type { JsonObject } from './json.ts'
import { formatOf, SLOT_FORMAT } from './language.ts'
import type { ActionShape, Fault, Plan, RetryPolicy, SequentialPlan, SubWorkflowPlan } from './plan.ts'
import type { Definition } from './schema.ts'
import type { SlotPlan } from './slot.ts'
import { storedMessage } from './stored-text.ts'
import { compileTemplateInto, type Template, type TemplateFindings } from './template.ts'

export { prepareShapes } from './compile/shapes.ts'

export interface Compiled {
  readonly plan: Plan
  readonly definition: Definition
  /** What it names beyond itself: see `missingWorkflows`. */
  readonly subWorkflows: readonly SubWorkflowPlan[]
}

/** What is wrong with it, and as much of it as could be read. */
export interface Refused {
  readonly faults: readonly Fault[]
  readonly document: JsonObject
  readonly subWorkflows: readonly SubWorkflowPlan[]
}

const unread = { document: {}, subWorkflows: [] }

/**
 * Compiles a definition, or says everything that is wrong with it, in document order. Bad input never throws. The definition
 * in the answer is a copy as plain JSON. `isStored`: an earlier release has taken it, and its executions go on; what would merely
 * fail at run time is no fault then.
 */
export function compile(
  definition: unknown,
  actions: ReadonlyMap<string, ActionShape>,
  { isStored = false }: { readonly isStored?: boolean } = {},
): Compiled | Refused {
  const copy = documentOf(definition)
  if ('fault' in copy) return { faults: [copy.fault], ...unread }
  const { document } = copy
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    return { faults: [{ pointer: '', message: 'The definition must be an object with name and steps' }], ...unread }
  }
  const all: Compilation = {
    definition: document,
    actions,
    isStored,
    faults: [],
    drafts: new Map(),
    names: closedNames(document),
    retryPolicy: null,
    steps: 0,
    subWorkflows: [],
    stepSchemas: 0,
  }
  const plan = compileDocument(document, all)
  const { subWorkflows } = all
  const faults = isStored ? all.faults.filter(({ message }) => message !== storedMessage) : all.faults
  if (faults.length === 0) return { plan, definition: document as unknown as Definition, subWorkflows }
  return { faults: inDocumentOrder(document, faults).map(briefly), document, subWorkflows: readable(all) }
}

/** Those of the sub-workflows whose names can be asked for. */
function readable({ faults, subWorkflows, steps }: Compilation): SubWorkflowPlan[] {
  if (steps > MAX_STEPS) return []
  const wrong = new Set(faults.map(({ pointer }) => pointer))
  return subWorkflows.filter(({ pointer }) => !wrong.has(`${pointer}/workflow`) && !wrong.has(`${pointer}/version`))
}

const LONGEST_MESSAGE = 600

/** Messages quote what was sent, which may be long. */
const briefly = ({ pointer, message }: Fault): Fault => ({
  pointer,
  message: message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message,
})

function compileDocument(document: JsonObject, all: Compilation): Plan {
  all.faults.push(...definitionFaults(document))
  const root = rootDraft()
  all.retryPolicy = workflowRetryPolicy(document, root, all)
  const slot = workflowSlot(document, root, all)
  const steps = compileList(document.steps, '/steps', root, 'steps', all)
  const rootPlan = Object.assign(root.plan, { steps: steps.map(({ plan }) => plan) }) as SequentialPlan
  if (all.steps > MAX_STEPS) {
    all.faults.push({ pointer: '/steps', message: `There are ${all.steps} steps; at most ${MAX_STEPS} are taken` })
  }
  const onFailure = compileOnFailure(document.onFailure, root, all)
  const { output, reads } = compileOutput(document, all)
  checkReferences(root, reads, all)
  const { inputFaults, faults } = compileInputSchema(document.inputSchema)
  all.faults.push(...faults)
  return {
    name: String(document.name),
    format: Math.max(
      ...Array.from(all.drafts.values(), ({ plan }) => formatOf(plan)),
      onFailure === null ? 1 : 2,
      slot === null ? 1 : SLOT_FORMAT,
    ),
    root: rootPlan,
    onFailure,
    slot,
    priority: typeof document.priority === 'number' ? document.priority : 0,
    hasSlots: slot !== null || Array.from(all.drafts.values()).some(({ plan }) => plan.slot !== null),
    steps: new Map(Array.from(all.drafts, ([id, draft]) => [id, draft.plan])),
    leafCount: numberSteps(root),
    variables: (document.variables ?? {}) as JsonObject,
    timeoutMs: typeof document.timeoutMs === 'number' ? document.timeoutMs : null,
    checkpoints: { keep: 10, compact: false, ...(document.checkpoints as Partial<Plan['checkpoints']> | undefined) },
    output,
    inputFaults,
    signalFaults: signalFaultsOf(all.drafts.values()),
  }
}

/** It is asked at any step, so it can read none. */
function workflowRetryPolicy(document: JsonObject, root: Draft, all: Compilation): RetryPolicy | null {
  const policy = compileRetryPolicy(document, root, all)
  for (const { stepId, pointer } of root.references.splice(0))
    all.faults.push({
      pointer,
      message: `reads step "${stepId}", which not every step comes after: write it into the step's own policy`,
    })
  return policy
}

/** It is asked for before any step has run. */
function workflowSlot(document: JsonObject, root: Draft, all: Compilation): SlotPlan | null {
  const slot = compileConcurrency(document, root, all)
  for (const { stepId, pointer } of root.references.splice(0))
    all.faults.push({ pointer, message: `reads step "${stepId}", which runs after this is evaluated` })
  return slot
}

/** The root is a sequential step without a definition of its own. */
function rootDraft(): Draft {
  const plan: SequentialPlan = {
    type: 'sequential',
    id: '',
    name: '',
    parent: null,
    children: [],
    isLeaf: false,
    position: 0,
    number: 1,
    weight: 1,
    when: null,
    dependencies: [],
    timeoutMs: null,
    outcome: null,
    compensation: null,
    isRepeated: false,
    isAftermath: false,
    slot: null,
    steps: [],
    body: null,
  }
  return {
    id: '',
    pointer: '',
    configPointer: '',
    plan,
    parent: null,
    list: 'steps',
    position: 0,
    depth: 0,
    locals: [],
    children: [],
    aftermath: [],
    references: [],
    dependencies: [],
  }
}

/** The output's template, and the steps that it reads. */
function compileOutput({ output }: JsonObject, all: Compilation): { output: Template | null; reads: Reference[] } {
  if (output === undefined) return { output: null, reads: [] }
  const findings: TemplateFindings = { faults: [], references: [], usesSecrets: false }
  const template = compileTemplateInto(findings, output, { names: all.names })
  const place = <T extends { readonly pointer: string }>(found: T): T => ({
    ...found,
    pointer: `/output${found.pointer}`,
  })
  all.faults.push(...findings.faults.map(place))
  return { output: template, reads: findings.references.map(place) }
}
