/** What a regular expression says. */
export type PatternNode =
  | { readonly type: 'character'; readonly matches: (code: number) => boolean }
  | { readonly type: 'assertion'; readonly assertion: Assertion }
  | { readonly type: 'sequence'; readonly nodes: readonly PatternNode[] }
  | { readonly type: 'choice'; readonly nodes: readonly PatternNode[] }
  | { readonly type: 'repeat'; readonly node: PatternNode; readonly min: number; readonly max: number }

export type Assertion = 'start' | 'end' | 'boundary' | 'no boundary'

/** A pattern that this engine does not run; the message says which part of it. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

const MAX_NESTING = 100

/** One escape that stands for a character or a class of them: \d, \p{Lu}, \u{1F600}, \uD83D\uDE00, \x41, \cA, \. and so on. */
const escapeForm =
  /\\(?:[pP]\{[^}]*\}|u\{[^}]*\}|u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|.)/suy
const quantifier = /(?:[*+?]|\{(?<min>\d+)(?:(?<comma>,)(?<max>\d*))?\})\??/uy
const group = /\((?:\?(?::|<[^=!][^>]*>|(?<other>.)))?/suy

/**
 * Parses a regular expression as JavaScript's u flag has it. Back references and look-around are refused: they cannot be
 * matched in linear time.
 */
export function parsePattern(source: string): PatternNode {
  try {
    new RegExp(source, 'u')
  } catch (error) {
    throw new PatternError((error as Error).message)
  }
  return new Parser(source).parse()
}

/** The native parser has found the syntax good, so that only what it means is left to see. */
class Parser {
  readonly #source: string
  #at = 0
  #nesting = 0

  constructor(source: string) {
    this.#source = source
  }

  parse(): PatternNode {
    const first = this.#sequence()
    const nodes = [first]
    while (this.#source[this.#at] === '|') {
      this.#at++
      nodes.push(this.#sequence())
    }
    return nodes.length === 1 ? first : { type: 'choice', nodes }
  }

  #sequence(): PatternNode {
    const nodes: PatternNode[] = []
    for (
      let next = this.#source[this.#at];
      next !== undefined && next !== '|' && next !== ')';
      next = this.#source[this.#at]
    ) {
      nodes.push(this.#quantified(this.#atom()))
    }
    return { type: 'sequence', nodes }
  }

  #quantified(node: PatternNode): PatternNode {
    const match = this.#take(quantifier)
    if (!match) return node
    const [text] = match
    const { min, comma, max } = match.groups as { min?: string; comma?: string; max?: string }
    if (min === undefined) {
      return {
        type: 'repeat',
        node,
        min: text.startsWith('+') ? 1 : 0,
        max: text.startsWith('?') ? 1 : Number.POSITIVE_INFINITY,
      }
    }
    const most = comma === undefined ? Number(min) : max ? Number(max) : Number.POSITIVE_INFINITY
    return { type: 'repeat', node, min: Number(min), max: most }
  }

  #atom(): PatternNode {
    switch (this.#source[this.#at]) {
      case '^':
        return this.#assertion('start', 1)
      case '$':
        return this.#assertion('end', 1)
      case '.':
        this.#at++
        return classOf('.')
      case '(':
        return this.#group()
      case '[':
        return this.#class()
      case '\\':
        return this.#escape()
      default: {
        const code = this.#source.codePointAt(this.#at) as number
        this.#at += code > 0xffff ? 2 : 1
        return { type: 'character', matches: (other) => other === code }
      }
    }
  }

  #assertion(assertion: Assertion, length: number): PatternNode {
    this.#at += length
    return { type: 'assertion', assertion }
  }

  #group(): PatternNode {
    const opening = this.#take(group) as RegExpExecArray
    if (opening.groups?.other !== undefined) {
      throw new PatternError('look-ahead, look-behind and flags in groups are not supported')
    }
    if (++this.#nesting > MAX_NESTING) throw new PatternError(`groups nest deeper than ${MAX_NESTING} levels`)
    const node = this.parse()
    this.#nesting--
    this.#at++
    return node
  }

  #class(): PatternNode {
    const start = this.#at
    for (this.#at++; this.#source[this.#at] !== ']'; ) if (!this.#take(escapeForm)) this.#at++
    this.#at++
    return classOf(this.#source.slice(start, this.#at))
  }

  #escape(): PatternNode {
    const next = this.#source[this.#at + 1] as string
    if (next === 'b') return this.#assertion('boundary', 2)
    if (next === 'B') return this.#assertion('no boundary', 2)
    if (/[1-9k]/.test(next)) throw new PatternError('back references are not supported')
    return classOf((this.#take(escapeForm) as RegExpExecArray)[0])
  }

  #take(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at
    const match = expression.exec(this.#source)
    if (match) this.#at += match[0].length
    return match
  }
}

/** A class of characters, asked of the native engine one character at a time; the answers for ASCII are kept. */
function classOf(source: string): PatternNode {
  const native = new RegExp(`^${source}$`, 'u')
  const known = new Int8Array(128)
  const ask = (code: number): boolean => native.test(String.fromCodePoint(code))
  const matches = (code: number): boolean => {
    if (code >= known.length) return ask(code)
    if (known[code] === 0) known[code] = ask(code) ? 1 : -1
    return known[code] === 1
  }
  return { type: 'character', matches }
}
