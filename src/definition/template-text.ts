import { ExpressionError } from './expression.ts'

/** A piece of a string with templates: text as it is, or the source between `{{` and `}}`. */
export type Piece = { readonly text: string } | { readonly source: string }

const OPENING = '{{'
const ESCAPED = '\\{{'

/** Whether the string holds a template; `\{{` is none. */
export function isTemplate(text: string): boolean {
  for (let at = text.indexOf(OPENING); at !== -1; at = text.indexOf(OPENING, at + 1)) {
    if (text[at - 1] !== '\\') return true
    at += OPENING.length - 1
  }
  return false
}

/** Cuts a string into its pieces; `\{{` becomes the text `{{`. Throws an ExpressionError for a template that does not end. */
export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = []
  let plain = ''
  let at = 0
  while (at < text.length) {
    const opening = text.indexOf(OPENING, at)
    if (opening === -1) break
    if (text[opening - 1] === '\\' && opening > at) {
      plain += text.slice(at, opening - 1) + OPENING
      at = opening + ESCAPED.length - 1
      continue
    }
    plain += text.slice(at, opening)
    if (plain !== '') pieces.push({ text: plain })
    plain = ''
    const end = endOf(text, opening + OPENING.length)
    pieces.push({ source: text.slice(opening + OPENING.length, end) })
    at = end + OPENING.length
  }
  plain += text.slice(at)
  if (plain !== '') pieces.push({ text: plain })
  return pieces
}

/**
 * Where the `}}` of a template stands whose expression begins at `start`. Braces of objects, texts in quotes and template
 * literals are stepped over; the language has no comments and no regular expressions that could hide a brace.
 */
function endOf(text: string, start: number): number {
  /** What is open: '{' of an object, '$' of a `${`, or a quote. */
  const open: string[] = []
  for (let at = start; at < text.length; at++) {
    const character = text[at] as string
    const innermost = open.at(-1)
    if (innermost === '"' || innermost === "'" || innermost === '`') {
      if (character === '\\') at++
      else if (character === innermost) open.pop()
      else if (innermost === '`' && character === '$' && text[at + 1] === '{') {
        open.push('$')
        at++
      }
    } else if (character === '"' || character === "'" || character === '`' || character === '{') open.push(character)
    else if (character === '}') {
      if (innermost !== undefined) open.pop()
      else if (text[at + 1] === '}') return at
    }
  }
  const last = open.at(-1)
  const why = last === undefined || last === '$' ? '' : `; a ${last} in it is still open`
  throw new ExpressionError(
    `The {{ before "${text.slice(start, start + 30).trim()}" has no }}${why}; for the characters themselves write \\{{`,
    { located: true },
  )
}
