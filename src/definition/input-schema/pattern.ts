import { type Assertion, PatternError, type PatternNode, parsePattern } from './pattern-parser.ts'

/** A regular expression that is matched in time linear in the text, whatever it says. */
export interface Pattern {
  /** Whether it matches somewhere in the text. `spend` is called with the units of work as they are done. */
  test(text: string, spend: (units: number) => void): boolean
}

type Character = { readonly op: 'character'; readonly matches: (code: number) => boolean }
type Instruction =
  | Character
  | { readonly op: 'assertion'; readonly assertion: Assertion }
  | { readonly op: 'split'; other: number }
  | { readonly op: 'jump'; to: number }
  | { readonly op: 'match' }

const MAX_INSTRUCTIONS = 2_000

/**
 * Compiles a regular expression to an automaton that is in all its states at once (K. Thompson, 1968), so that no text can
 * make it backtrack. Throws a PatternError for what it does not run.
 */
export function compilePattern(source: string): Pattern {
  const program: Instruction[] = []
  emit(parsePattern(source), program)
  program.push({ op: 'match' })
  return { test: (text, spend) => run(program, text, spend) }
}

/** Appends the instructions of a node. A split goes on with the next instruction and with `other`. */
function emit(node: PatternNode, program: Instruction[]): void {
  if (program.length > MAX_INSTRUCTIONS) throw new PatternError('the pattern is too large: repeat less')
  switch (node.type) {
    case 'character':
      program.push({ op: 'character', matches: node.matches })
      return
    case 'assertion':
      program.push({ op: 'assertion', assertion: node.assertion })
      return
    case 'sequence':
      for (const each of node.nodes) emit(each, program)
      return
    case 'choice':
      emitChoice(node.nodes, program)
      return
    case 'repeat':
      emitRepeat(node.node, node.min, node.max, program)
  }
}

function emitChoice(nodes: readonly PatternNode[], program: Instruction[]): void {
  const jumps: { op: 'jump'; to: number }[] = []
  for (const [index, node] of nodes.entries()) {
    const isLast = index === nodes.length - 1
    const split = { op: 'split' as const, other: 0 }
    if (!isLast) program.push(split)
    emit(node, program)
    if (isLast) continue
    const jump = { op: 'jump' as const, to: 0 }
    program.push(jump)
    jumps.push(jump)
    split.other = program.length
  }
  for (const jump of jumps) jump.to = program.length
}

function emitRepeat(node: PatternNode, min: number, max: number, program: Instruction[]): void {
  const optional = max === Number.POSITIVE_INFINITY ? 1 : max - min
  if (min + optional > MAX_INSTRUCTIONS) throw new PatternError('the pattern is too large: repeat less')
  for (let i = 0; i < min; i++) emit(node, program)
  const splits: { op: 'split'; other: number }[] = []
  const start = program.length
  for (let i = 0; i < optional; i++) {
    const split = { op: 'split' as const, other: 0 }
    program.push(split)
    splits.push(split)
    emit(node, program)
  }
  if (max === Number.POSITIVE_INFINITY) program.push({ op: 'jump', to: start })
  for (const split of splits) split.other = program.length
}

function run(program: readonly Instruction[], text: string, spend: (units: number) => void): boolean {
  /** The position at which a state was entered last: it is entered once a position. */
  const entered = new Int32Array(program.length).fill(-1)
  const states: number[] = []
  const waiting: number[] = []
  for (let at = 0; ; ) {
    // A match may begin anywhere.
    states.push(0)
    spend(states.length)
    for (let state = states.pop(); state !== undefined; state = states.pop()) {
      if (entered[state] === at) continue
      entered[state] = at
      const instruction = program[state] as Instruction
      if (instruction.op === 'match') return true
      if (instruction.op === 'character') waiting.push(state)
      else if (instruction.op === 'jump') states.push(instruction.to)
      else if (instruction.op === 'split') states.push(instruction.other, state + 1)
      else if (holds(instruction.assertion, text, at)) states.push(state + 1)
    }
    if (at >= text.length) return false
    spend(waiting.length)
    const code = text.codePointAt(at) as number
    at += code > 0xffff ? 2 : 1
    for (const state of waiting) if ((program[state] as Character).matches(code)) states.push(state + 1)
    waiting.length = 0
  }
}

function holds(assertion: Assertion, text: string, at: number): boolean {
  switch (assertion) {
    case 'start':
      return at === 0
    case 'end':
      return at === text.length
    default: {
      const isBoundary = isWord(text[at - 1]) !== isWord(text[at])
      return isBoundary === (assertion === 'boundary')
    }
  }
}

const isWord = (character: string | undefined): boolean => character !== undefined && /\w/.test(character)
