import { toJsonText } from './expression/object-functions.ts'
import type { Run } from './expression/run.ts'
import { compileExpression, type Expression, type ExpressionOptions } from './expression.ts'
import type { Json } from './json.ts'
import { piecesOf } from './template-text.ts'

/** One rendering under way: all its expressions share one run's fuel. `held` are the large values that went into the result. */
export interface Rendering {
  readonly run: Run
  readonly held: Json[]
}

/** Texts from this length on are counted as large values. */
const LARGE_TEXT = 1_024

export interface CompiledText {
  readonly part: { readonly constant: string } | { readonly render: (rendering: Rendering) => Json | undefined }
  readonly stepIds: readonly string[]
  readonly usesSecrets: boolean
}

/** Compiles a string: one template alone keeps its value's type, anything else is joined as text. Throws an ExpressionError. */
export function compileText(text: string, options: ExpressionOptions): CompiledText {
  const pieces = piecesOf(text).map((piece) =>
    'text' in piece ? piece.text : compileExpression(piece.source, options),
  )
  const expressions = pieces.filter((piece) => typeof piece !== 'string')
  return {
    part: partOf(pieces),
    stepIds: expressions.flatMap(({ stepIds }) => stepIds),
    usesSecrets: expressions.some(({ usesSecrets }) => usesSecrets),
  }
}

function partOf(pieces: readonly (string | Expression)[]): CompiledText['part'] {
  const [first] = pieces
  if (pieces.length === 1 && first !== undefined && typeof first !== 'string')
    return { render: (rendering) => whole(first, rendering) }
  if (pieces.every((piece) => typeof piece === 'string')) return { constant: pieces.join('') }
  return { render: (rendering) => joined(pieces, rendering) }
}

function whole(expression: Expression, { run, held }: Rendering): Json | undefined {
  const value = expression.evaluateIn(run)
  if (value === undefined) return undefined
  if (typeof value === 'string' ? value.length >= LARGE_TEXT : typeof value === 'object') held.push(value)
  return value
}

function joined(pieces: readonly (string | Expression)[], { run }: Rendering): string {
  let text = ''
  for (const piece of pieces) {
    const part = typeof piece === 'string' ? piece : textOf(piece.evaluateIn(run), run)
    run.reserveText(text.length + part.length)
    text += part
  }
  return text
}

/** undefined is no text at all, so that an optional part of a URL can be left out; objects and arrays are their JSON. */
function textOf(value: Json | undefined, run: Run): string {
  if (value === undefined) return ''
  return typeof value === 'object' && value !== null ? toJsonText(run, value) : String(value)
}
