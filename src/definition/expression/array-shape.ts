import type { Callback } from './callable.ts'
import { ExpressionError } from './error.ts'
import { MAX_DEPTH, type Run } from './run.ts'
import { toNumber, toText, type Value } from './value.ts'

// Array methods that make an array or a text of another shape. They leave their operands as they are.

export function concat(run: Run, elements: readonly Value[], args: readonly Value[]): Value {
  const result = [...elements]
  run.reserveElements(elements.length)
  for (const value of args) append(run, result, Array.isArray(value) ? value : [value])
  return result
}

function append(run: Run, target: Value[], elements: readonly Value[]): void {
  run.reserveElements(target.length + elements.length)
  for (const element of elements) target.push(element)
}

export function flat(run: Run, elements: readonly Value[], args: readonly Value[]): Value {
  const result: Value[] = []
  flatten(run, elements, args[0] === undefined ? 1 : toNumber(args[0]), result, 0)
  return result
}

function flatten(run: Run, elements: readonly Value[], levels: number, result: Value[], depth: number): void {
  if (depth > MAX_DEPTH) throw new ExpressionError(`.flat works on ${MAX_DEPTH} levels at most`)
  run.spend(elements.length)
  for (const element of elements) {
    if (Array.isArray(element) && levels >= 1) flatten(run, element, levels - 1, result, depth + 1)
    else result.push(element)
  }
  run.reserveElements(result.length >> 8)
}

export function flatMap(run: Run, elements: readonly Value[], callback: Callback): Value {
  const result: Value[] = []
  elements.forEach((element, index) => {
    const mapped = callback(element, index, elements as Value[])
    if (!Array.isArray(mapped)) result.push(mapped)
    else {
      run.spend(mapped.length)
      for (const each of mapped) result.push(each)
    }
  })
  run.reserveElements(result.length)
  return result
}

export function join(run: Run, elements: readonly Value[], args: readonly Value[]): Value {
  const separator = args[0] === undefined ? ',' : toText(args[0])
  run.reserveElements(elements.length)
  const texts = elements.map((element) => (element === undefined || element === null ? '' : toText(element)))
  run.reserveText(texts.reduce((length, text) => length + text.length + separator.length, 0))
  return texts.join(separator)
}

export function toSpliced(run: Run, elements: readonly Value[], args: readonly Value[]): Value {
  run.reserveElements(elements.length + args.length)
  if (args.length === 0) return [...elements]
  const start = toNumber(args[0])
  const count = args.length === 1 ? elements.length : toNumber(args[1])
  return elements.toSpliced(start, count, ...args.slice(2))
}
