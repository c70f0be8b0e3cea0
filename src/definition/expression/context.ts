import type { AnyNode } from 'acorn'
import { ExpressionError, excerpt, type Place } from './error.ts'
import type { Run } from './run.ts'
import type { Value } from './value.ts'

/** A compiled node. */
export type Evaluate = (run: Run) => Value

/** What the compiler is told about the place where an expression stands. */
export interface ExpressionOptions {
  /** Names that this place has beside the roots: `as` names, item, index, error. */
  readonly locals?: readonly string[]
  /** Every variable and input member, where they are known for certain; other bare names are then refused. */
  readonly names?: ReadonlySet<string>
  /** Whether `secrets.NAME` may be used here. */
  readonly secretsAllowed?: boolean
}

/** What holds for one expression as a whole. */
export interface Unit {
  /** The text that the tree's positions count in. */
  readonly text: string
  readonly options: ExpressionOptions
  /** Steps that it reads. */
  readonly stepIds: Set<string>
  usesSecrets: boolean
  /** Whether it makes arrays or objects of its own, which must be turned into plain JSON when they leave. */
  makesContainers: boolean
  /** The compiler's entry, handed down so that a file a node type needs no import in a circle. */
  readonly compileNode: (node: AnyNode, context: Context) => Evaluate
}

/** Most levels of nodes in one expression. */
const MAX_LEVELS = 250

/** Where the compiler stands in an expression: its depth and the arrow parameters in sight. */
export class Context {
  readonly unit: Unit
  readonly #level: number
  readonly #parameters: ReadonlyMap<string, number>
  readonly #slots: number

  constructor(unit: Unit, level = 0, parameters: ReadonlyMap<string, number> = new Map(), slots = 0) {
    this.unit = unit
    this.#level = level
    this.#parameters = parameters
    this.#slots = slots
  }

  /** Compiles a child node. */
  compile(node: AnyNode): Evaluate {
    return this.unit.compileNode(node, this.deeper())
  }

  /** The context of a child node. */
  deeper(): Context {
    if (this.#level >= MAX_LEVELS) throw new ExpressionError('The expression nests too deeply', { located: true })
    return new Context(this.unit, this.#level + 1, this.#parameters, this.#slots)
  }

  /** The context of an arrow function's body. */
  withParameters(names: Iterable<string>): Context {
    const parameters = new Map(this.#parameters)
    let slots = this.#slots
    for (const name of names) parameters.set(name, slots++)
    return new Context(this.unit, this.#level + 1, parameters, slots)
  }

  /** The slot of an arrow parameter in sight. */
  slotOf(name: string): number | undefined {
    return this.#parameters.get(name)
  }

  isLocal(name: string): boolean {
    return this.unit.options.locals?.includes(name) ?? false
  }

  /** Whether the name means something else here than the function or root of that name. */
  isShadowed(name: string): boolean {
    return this.#parameters.has(name) || this.isLocal(name)
  }

  place(node: AnyNode): Place {
    return { source: this.unit.text, start: node.start, end: node.end }
  }

  /** An error that names the node, to be thrown. */
  refusal(node: AnyNode, message: string): ExpressionError {
    return new ExpressionError(`${message} (in: ${excerpt(this.place(node))})`, { located: true })
  }
}
