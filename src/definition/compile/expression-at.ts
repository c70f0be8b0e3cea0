import { compileExpression, type Expression, ExpressionError } from '../expression.ts'
import type { Compilation, Draft } from './draft.ts'

/** Compiles an expression of a step; a bad one is a fault and null. */
export function compileAt(
  source: string,
  pointer: string,
  draft: Draft,
  all: Compilation,
  locals: readonly string[] = draft.locals,
): Expression | null {
  try {
    const expression = compileExpression(source, { names: all.names, locals })
    for (const stepId of expression.stepIds) draft.references.push({ stepId, pointer })
    return expression
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    const message = source.includes('{{') ? 'is an expression already: write it bare, without {{ }}' : error.message
    all.faults.push({ pointer, message })
    return null
  }
}
