import type { Expression } from '../expression.ts'
import type { Json, JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { Plan, SequentialPlan, StepPlan } from '../plan.ts'
import type { SlotPlan } from '../slot.ts'
import type { Body } from '../steps/sequential.ts'
import type { Template } from '../template.ts'
import type { Compilation, Draft } from './draft.ts'
import { compileAt } from './expression-at.ts'
import { compileInputSchema, MAX_SCHEMAS } from './input-schema.ts'
import { compileSlot } from './slot.ts'
import { compileBody, compileList } from './steps.ts'
import { templateAt } from './template-at.ts'

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
    this.#pointer = draft.configPointer
  }

  /** The steps that a field of config lists. */
  steps(field: string): StepPlan[] {
    const { config, draft, all } = this
    return compileList(config[field], this.pointerTo(field), draft, field, all).map((child) => child.plan)
  }

  /** A body made of the list at these keys of config, e.g. `['cases', 0, 'steps']`. */
  body(keys: readonly (string | number)[], body: Body): SequentialPlan {
    const list = keys.reduce<Json | undefined>((value, key) => (value as JsonObject | undefined)?.[key], this.config)
    return compileBody(list, this.#at(keys), this.draft, String(keys[0]), body, this.all)
  }

  /** The expression in a field of config; null when there is none or it is bad, which is a fault. */
  expression(field: string, locals: readonly string[] = []): Expression | null {
    return this.expressionAt(this.config[field], [field], locals)
  }

  /** The same for an expression further within config. */
  expressionAt(
    source: Json | undefined,
    keys: readonly (string | number)[],
    locals: readonly string[] = [],
  ): Expression | null {
    // What is no text, or empty, is refused with the step's other fields.
    if (typeof source !== 'string' || source === '') return null
    const names = [...this.draft.locals, ...locals]
    return compileAt(source, this.#at(keys), this.draft, this.all, names)
  }

  /** A template anywhere in config; `undefined` renders to undefined. */
  template(value: Json | undefined, keys: readonly (string | number)[]): Template | null {
    if (value === undefined) return null
    return templateAt(value, this.#at(keys), this.draft, this.all)
  }

  /** What is wrong with a value by the JSON Schema in a field of config; null when there is none. */
  valueFaults(field: string): Plan['inputFaults'] | null {
    const { all, config } = this
    const room = MAX_SCHEMAS - all.stepSchemas
    const { inputFaults, faults, count } = compileInputSchema(config[field], this.pointerTo(field), room)
    all.stepSchemas += count
    all.faults.push(...faults)
    return config[field] === undefined ? null : inputFaults
  }

  /** The slot that the step needs, its key in a field of config: one with that name at a time in the namespace. `waitTimeoutMs` is beside it. */
  mutex(field: string): SlotPlan {
    const { config, draft, all } = this
    const at = { key: config[field], keyPointer: this.pointerTo(field), limit: 1, limitPointer: this.pointerTo(field) }
    return compileSlot({ scope: 'mutex', ...at, onLimit: 'queue', waitTimeoutMs: config.waitTimeoutMs }, draft, all)
  }

  /** Notes what is wrong with a field of config. */
  fault(field: string, message: string): void {
    this.all.faults.push({ pointer: this.pointerTo(field), message })
  }

  /** The same for a place further within config. */
  faultAt(keys: readonly (string | number)[], message: string): void {
    this.all.faults.push({ pointer: this.#at(keys), message })
  }

  #at(keys: readonly (string | number)[]): string {
    return keys.reduce<string>((pointer, key) => pointerTo(pointer, key), this.#pointer)
  }

  pointerTo(field: string): string {
    return pointerTo(this.#pointer, field)
  }
}
