import { MAX_RESULT, Run } from './expression/run.ts'
import { setOwn } from './expression/value.ts'
import { ExpressionError, type ExpressionOptions, type Scope } from './expression.ts'
import type { Json, JsonObject } from './json.ts'
import { isWithin, pointerTo } from './json-pointer.ts'
import type { Fault } from './plan.ts'
import { compileText, type Rendering } from './template-string.ts'

export { isTemplate } from './template-text.ts'

/** A compiled JSON value whose strings may hold `{{ expression }}`. */
export interface Template {
  /** Steps that its expressions read. */
  readonly stepIds: readonly string[]
  readonly usesSecrets: boolean
  /**
   * The value with its templates filled in; undefined when the whole of it is one template whose value is undefined. Parts
   * without templates are shared with every other rendering, so callers must not change them. Throws an ExpressionError.
   */
  render(scope: Scope): Json | undefined
}

export interface TemplateOptions extends ExpressionOptions {
  /** Pointers below which `secrets.NAME` may be used; `secretsAllowed` allows it everywhere. */
  readonly secretFields?: readonly string[]
  /** Pointers below which strings may hold no template. */
  readonly literalFields?: readonly string[]
}

/** Where a template reads a step. */
export interface StepReference {
  readonly stepId: string
  readonly pointer: string
}

/** What the compilation of a value found, pointers counted from the value itself. */
export interface TemplateFindings {
  readonly faults: Fault[]
  readonly references: StepReference[]
  usesSecrets: boolean
}

/** Compiles a JSON value; throws its first fault as an ExpressionError. compileTemplateInto finds them all. */
export function compileTemplate(value: Json, options: TemplateOptions = {}): Template {
  const findings: TemplateFindings = { faults: [], references: [], usesSecrets: false }
  const template = compileTemplateInto(findings, value, options)
  const [fault] = findings.faults
  if (fault) throw new ExpressionError(fault.message, { located: true })
  return template
}

/** Compiles a JSON value and adds what it finds to `findings`. With faults the template is good for nothing. */
export function compileTemplateInto(findings: TemplateFindings, value: Json, options: TemplateOptions = {}): Template {
  const part = compilePart(value, '', { options, findings })
  const stepIds = [...new Set(findings.references.map(({ stepId }) => stepId))]
  const { usesSecrets } = findings
  if ('constant' in part) return { stepIds, usesSecrets, render: () => part.constant }
  return {
    stepIds,
    usesSecrets,
    render(scope) {
      const rendering: Rendering = { run: new Run(scope), held: [] }
      const rendered = part.render(rendering)
      limitSize(rendering)
      return rendered
    },
  }
}

/** One part held twice is twice in the JSON: a small template must not make gigabytes of a megabyte. */
function limitSize({ run, held }: Rendering): void {
  if (held.length < 2) return
  let room = MAX_RESULT
  for (const value of held) room -= run.measure(value, room)
}

/** A part without templates is kept as it is; the others are made anew at each rendering. */
type Part = { readonly constant: Json } | { readonly render: (rendering: Rendering) => Json | undefined }

interface Place {
  readonly options: TemplateOptions
  readonly findings: TemplateFindings
}

function compilePart(value: Json, pointer: string, place: Place): Part {
  if (typeof value === 'string') return compileString(value, pointer, place)
  if (typeof value !== 'object' || value === null) return { constant: value }
  return Array.isArray(value) ? compileElements(value, pointer, place) : compileMembers(value, pointer, place)
}

function compileString(value: string, pointer: string, { options, findings }: Place): Part {
  const { secretsAllowed, secretFields = [], literalFields = [] } = options
  if (!value.includes('{{')) return { constant: value }
  if (literalFields.some((field) => isWithin(pointer, field))) {
    findings.faults.push({
      pointer,
      message: 'This text is taken as it is and may hold no {{ }}; pass values beside it',
    })
    return { constant: value }
  }
  try {
    const allowed = secretsAllowed === true || secretFields.some((field) => isWithin(pointer, field))
    const { part, stepIds, usesSecrets } = compileText(value, { ...options, secretsAllowed: allowed })
    for (const stepId of stepIds) findings.references.push({ stepId, pointer })
    findings.usesSecrets ||= usesSecrets
    return part
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    findings.faults.push({ pointer, message: error.message })
    return { constant: value }
  }
}

function compileElements(elements: Json[], pointer: string, place: Place): Part {
  const parts = elements.map((element, index) => compilePart(element, pointerTo(pointer, index), place))
  if (parts.every((part) => 'constant' in part)) return { constant: elements }
  // As in JSON.stringify: an element that is undefined keeps its position, for the sake of query parameters.
  return {
    render: (rendering) => parts.map((part) => ('constant' in part ? part.constant : (part.render(rendering) ?? null))),
  }
}

function compileMembers(object: JsonObject, pointer: string, place: Place): Part {
  const parts = Object.entries(object).map(
    ([key, value]) => [key, compilePart(value, pointerTo(pointer, key), place)] as const,
  )
  if (parts.every(([, part]) => 'constant' in part)) return { constant: object }
  return {
    render(rendering) {
      const rendered: JsonObject = {}
      for (const [key, part] of parts) {
        const value = 'constant' in part ? part.constant : part.render(rendering)
        if (value !== undefined) setOwn(rendered, key, value)
      }
      return rendered
    },
  }
}
