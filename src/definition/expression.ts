import { compileNode } from './expression/compiler.ts'
import { Context, type Evaluate, type ExpressionOptions, type Unit } from './expression/context.ts'
import { located } from './expression/error.ts'
import { parseExpression } from './expression/parser.ts'
import { Run } from './expression/run.ts'
import type { Scope } from './expression/scope.ts'
import { settle } from './expression/settle.ts'
import type { Json } from './json.ts'

export type { ExpressionOptions } from './expression/context.ts'
export { ExpressionError } from './expression/error.ts'
export type { Root, Scope, StepView } from './expression/scope.ts'

/** A compiled expression. Evaluating it changes nothing and reads nothing but the scope. */
export interface Expression {
  readonly source: string
  /** Steps that it reads. */
  readonly stepIds: readonly string[]
  readonly usesSecrets: boolean
  /**
   * The value as plain JSON, or undefined. It may share parts with what the scope holds, so callers must not change it.
   * Throws an ExpressionError, and nothing else, when it fails, takes too much work or makes too much data.
   */
  evaluate(scope: Scope): Json | undefined
  /** The same within a run that several expressions share, fuel included. */
  evaluateIn(run: Run): Json | undefined
}

/**
 * Compiles a JavaScript expression of the language's subset to closures; no code is generated.
 * Throws an ExpressionError that names the place and the remedy.
 */
export function compileExpression(source: string, options: ExpressionOptions = {}): Expression {
  const { tree, text } = parseExpression(source)
  const unit: Unit = { text, options, stepIds: new Set(), usesSecrets: false, makesContainers: false, compileNode }
  const value = new Context(unit).compile(tree)
  const evaluateIn = (run: Run): Json | undefined => evaluate(value, unit.makesContainers, run, source)
  return {
    source,
    stepIds: [...unit.stepIds],
    usesSecrets: unit.usesSecrets,
    evaluate: (scope) => evaluateIn(new Run(scope)),
    evaluateIn,
  }
}

function evaluate(value: Evaluate, makesContainers: boolean, run: Run, source: string): Json | undefined {
  try {
    const result = value(run)
    if (makesContainers || typeof result !== 'object') return settle(run, result)
    return result as Json
  } catch (error) {
    throw located(error, { source, start: 0, end: source.length })
  }
}
