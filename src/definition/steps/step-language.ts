import type { TSchema } from 'typebox'
import type { StepCompiler } from '../compile/step-compiler.ts'
import type { StepPlan } from '../plan.ts'

/** What the language knows of one type of step: its schema, and how its `config` becomes its part of the plan. */
export interface StepLanguage<Plan extends StepPlan = StepPlan> {
  /** Registered under its $id; other schemas refer to it by that. */
  readonly schema: TSchema
  /** The format that brought the type: a node leaves executions of formats that it does not know to those that do. */
  readonly format: number | ((plan: Plan) => number)
  /** Fills in what the type's plan has beyond that of every step. Whatever is wrong becomes a fault, never an exception. */
  compile(compiler: StepCompiler, plan: Mutable<Plan>): void
  /** True when it does something itself instead of having steps within: leaves are counted and make checkpoints. */
  isLeaf(plan: Plan): boolean
}

/** A plan while it is being made. */
export type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }
