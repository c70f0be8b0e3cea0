import type { Json } from '../json.ts'

/** A name that every expression knows. */
export type Root = 'input' | 'variables' | 'data' | 'execution'

/** What an expression may read of a step. */
export interface StepView {
  readonly status: string
  readonly output?: Json
  readonly error?: Json
  readonly meta?: Json
}

/** What the caller hands to an evaluation. It is asked only for what the expression reads, so nothing is built in vain. */
export interface Scope {
  root(name: Root): Json | undefined
  /** The nearest instance of the step; undefined when it was never reached. */
  step(id: string): StepView | undefined
  /** A name that only this step has: an `as` name, item, index, error. */
  local(name: string): Json | undefined
  hasLocal(name: string): boolean
  /** The secret's text; throws an ExpressionError when there is none of that name. */
  secret(name: string): string
}
