import { parseExpressionAt, type Expression as SyntaxTree } from 'acorn'
import { ExpressionError } from './error.ts'

/** Longest source of one expression. */
export const MAX_SOURCE = 16 * 1024

/**
 * Parses exactly one JavaScript expression. Positions in the tree count from an opening parenthesis put in front of the source;
 * with it an object literal is an expression, and the closing one shows that nothing follows.
 */
export function parseExpression(source: string): { tree: SyntaxTree; text: string } {
  if (source.trim() === '') throw new ExpressionError('The expression is empty', { located: true })
  if (source.length > MAX_SOURCE) {
    throw new ExpressionError(`The expression is longer than ${MAX_SOURCE} characters: split it over several steps`, {
      located: true,
    })
  }
  const text = `(${source}\n)`
  const tree = parse(text, source)
  if (tree.type !== 'ParenthesizedExpression' || tree.end !== text.length) {
    throw new ExpressionError(`The parentheses of "${source}" do not match`, { located: true })
  }
  return { tree: tree.expression, text }
}

function parse(text: string, source: string): SyntaxTree {
  try {
    return parseExpressionAt(text, 0, {
      ecmaVersion: 2025,
      sourceType: 'module',
      preserveParens: true,
      onComment: () => {
        throw new ExpressionError('Expressions hold no comments', { located: true })
      },
    })
  } catch (error) {
    if (error instanceof ExpressionError) throw error
    if (error instanceof RangeError) throw new ExpressionError('The expression nests too deeply', { located: true })
    throw syntaxError(error, source)
  }
}

function syntaxError(error: unknown, source: string): ExpressionError {
  const { message, pos } = error as { message: string; pos?: number }
  const what = message.replace(/ \(\d+:\d+\)$/, '')
  if (pos === undefined) return new ExpressionError(`${what} in "${source}"`, { located: true })
  const at = Math.min(Math.max(pos - 1, 0), source.length)
  const rest = source.slice(at, at + 20)
  const where = rest.trim() === '' ? 'at its end: something is missing' : `at column ${at + 1}, before "${rest}"`
  return new ExpressionError(`${what} ${where}`, { located: true })
}
