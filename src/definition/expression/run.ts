import { ExpressionError } from './error.ts'
import type { Scope } from './scope.ts'
import { isObject, type Value, type ValueObject } from './value.ts'

/** Units of work for one evaluation: a unit is a node, an array element, or 16 characters of text. Some 50 ms, 100 at worst. */
export const FUEL = 1_000_000
/** Longest text that an expression may make, in UTF-16 units. */
export const MAX_TEXT = 4 * 1024 * 1024
/** Most elements of an array that an expression may make. */
export const MAX_ELEMENTS = 512 * 1024
/** Size of a result, about the bytes of its JSON. Guards against values that hold the same big part many times. */
export const MAX_RESULT = 32 * 1024 * 1024
/** How deep a value may nest that an expression makes or walks. */
export const MAX_DEPTH = 500

/** One evaluation under way: its scope, its remaining fuel, the values of its arrow parameters. */
export class Run {
  readonly scope: Scope
  fuel: number
  /** Arrow parameters by slot. Arrows cannot recurse or escape, so a slot each, given at compile time, is enough. */
  readonly slots: Value[] = []
  /** Room that is left in what the evaluation hands out. */
  #room = MAX_RESULT

  constructor(scope: Scope, fuel: number = FUEL) {
    this.scope = scope
    this.fuel = fuel
  }

  /** Burns fuel; throws when it is used up. The comparison is written so that NaN counts as used up. */
  spend(units: number): void {
    this.fuel -= units
    if (!(this.fuel >= 0)) {
      this.fuel = 0
      throw new ExpressionError(
        'The expression takes too much work: do less in it, or split the data over several steps',
      )
    }
  }

  /** Burns fuel for reading or writing that many characters. */
  spendText(characters: number): void {
    this.spend((characters >> 4) + 1)
  }

  /** Burns fuel for searching a text; a long needle may be compared again and again. */
  spendSearch(text: string, needle: string): void {
    this.spend(((text.length >> 4) + 1) * ((needle.length >> 6) + 1))
  }

  /** Refuses a text that would be too long, and burns fuel for making it. */
  reserveText(characters: number): void {
    if (!(characters <= MAX_TEXT)) {
      throw new ExpressionError(`A text may have ${MAX_TEXT} characters at most; this one would have ${characters}`)
    }
    this.spendText(characters)
  }

  /** Refuses an array that would be too long, and burns fuel for making it. */
  reserveElements(count: number): void {
    if (!(count <= MAX_ELEMENTS)) {
      throw new ExpressionError(`An array may have ${MAX_ELEMENTS} elements at most; this one would have ${count}`)
    }
    this.spend(count)
  }

  /** Counts the value's size against the room of the whole result. */
  reserveResult(units: number): void {
    this.#room -= units
    if (!(this.#room >= 0)) {
      throw new ExpressionError(`The result is larger than ${MAX_RESULT} bytes: pass on only the parts that are needed`)
    }
  }

  /** `===`, paid for: two long equal texts are compared character by character. */
  same(left: Value, right: Value): boolean {
    if (typeof left === 'string' && typeof right === 'string' && left.length === right.length)
      this.spend(left.length >> 6)
    return left === right
  }

  /** About the bytes of the value's JSON; throws beyond the limit. Parts that occur twice count twice. */
  measure(value: Value, limit: number, indent = 0, depth = 0): number {
    if (typeof value === 'string') return value.length + 4
    if (!isObject(value)) return 4
    if (depth > MAX_DEPTH) throw new ExpressionError(`A value nests deeper than ${MAX_DEPTH} levels`)
    let size = 4
    const line = 4 + indent * depth
    if (Array.isArray(value)) {
      for (const element of value) {
        size = this.#within(size + line + this.measure(element, limit - size, indent, depth + 1), limit)
      }
    } else {
      for (const key of Object.keys(value)) {
        size = this.#within(
          size + key.length + line + this.measure((value as ValueObject)[key], limit - size, indent, depth + 1),
          limit,
        )
      }
    }
    return size
  }

  #within(size: number, limit: number): number {
    if (size > limit) throw new ExpressionError('A value is too large to be copied or turned into text')
    return size
  }
}
