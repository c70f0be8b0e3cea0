import { compileExpression, type Expression, ExpressionError } from '../expression.ts'
import type { JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { StepPlan } from '../plan.ts'
import type { Compilation, Draft } from './draft.ts'
import { compileList } from './steps.ts'

/** What a step type's `compile` works with: the step as it was written, and the ways to compile what its config holds. */
export class StepCompiler {
  /** The step as it was written. */
  readonly step: JsonObject
  readonly config: JsonObject
  readonly draft: Draft
  readonly all: Compilation
  readonly #pointer: string

  constructor(step: JsonObject, config: JsonObject, draft: Draft, all: Compilation) {
    this.step = step
    this.config = config
    this.draft = draft
    this.all = all
    this.#pointer = pointerTo(draft.pointer, 'config')
  }

  /** The steps that a field of config lists. */
  steps(field: string): StepPlan[] {
    const { config, draft, all } = this
    return compileList(config[field], this.pointerTo(field), draft, field, all).map((child) => child.plan)
  }

  /** The expression in a field of config; null when there is none or it is bad, which is a fault. */
  expression(field: string): Expression | null {
    const source = this.config[field]
    // What is no text, or empty, is refused with the step's other fields.
    if (typeof source !== 'string' || source === '') return null
    return compileAt(source, this.pointerTo(field), this.draft, this.all)
  }

  /** Notes what is wrong with a field of config. */
  fault(field: string, message: string): void {
    this.all.faults.push({ pointer: this.pointerTo(field), message })
  }

  pointerTo(field: string): string {
    return pointerTo(this.#pointer, field)
  }
}

/** Compiles an expression of a step; a bad one is a fault and null. */
export function compileAt(source: string, pointer: string, draft: Draft, all: Compilation): Expression | null {
  try {
    const expression = compileExpression(source, { names: all.names })
    for (const stepId of expression.stepIds) draft.references.push({ stepId, pointer })
    return expression
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    const message = source.includes('{{') ? 'is an expression already: write it bare, without {{ }}' : error.message
    all.faults.push({ pointer, message })
    return null
  }
}
