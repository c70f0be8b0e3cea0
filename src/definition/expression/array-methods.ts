import { reversed, sorted } from './array-order.ts'
import { concat, flat, flatMap, join, toSpliced } from './array-shape.ts'
import {
  type Callable,
  type Callables,
  type Callback,
  plain,
  table,
  withCallback,
  withOptionalCallback,
} from './callable.ts'
import { ExpressionError } from './error.ts'
import type { Run } from './run.ts'
import { toNumber, type Value } from './value.ts'

type Elements = readonly Value[]

/** The array as callbacks get it; nothing can change it. */
const shared = (elements: Elements): Value[] => elements as Value[]

/** A native method whose callback is asked for each element until it has its answer. */
const testing = (
  perform: (elements: Elements, test: (element: Value, index: number) => boolean) => Value,
): Callable<Elements> =>
  withCallback((run, elements, callback) =>
    perform(elements, (element, index) => {
      run.spend(1)
      return Boolean(callback(element, index, shared(elements)))
    }),
  )

/** Position of a value from `start` on in steps of `step`, or -1; `matches` decides what is equal. */
function seek(run: Run, elements: Elements, wanted: Value, start: number, step: 1 | -1): number {
  for (let i = start; i >= 0 && i < elements.length; i += step) {
    run.spend(1)
    if (run.same(elements[i], wanted)) return i
  }
  return -1
}

/** A position as JavaScript takes it: whole, counted from the end when negative. */
function startOf(elements: Elements, argument: Value): number {
  const from = Math.trunc(toNumber(argument ?? 0)) || 0
  return from < 0 ? Math.max(elements.length + from, 0) : from
}

function includes(run: Run, elements: Elements, args: readonly Value[]): Value {
  if (!Number.isNaN(args[0])) return seek(run, elements, args[0], startOf(elements, args[1]), 1) !== -1
  run.spend(elements.length)
  return elements.includes(Number.NaN, startOf(elements, args[1]))
}

function lastIndexOf(run: Run, elements: Elements, args: readonly Value[]): Value {
  if (args.length < 2) return seek(run, elements, args[0], elements.length - 1, -1)
  const from = Math.trunc(toNumber(args[1])) || 0
  return seek(run, elements, args[0], from < 0 ? elements.length + from : Math.min(from, elements.length - 1), -1)
}

/** reduce and reduceRight, from `start` on in steps of `step`; without a start value the first element is it. */
function fold(
  run: Run,
  elements: Elements,
  callback: Callback,
  args: readonly Value[],
  start: number,
  step: 1 | -1,
): Value {
  let position = start
  let result = args[0]
  if (args.length === 0) {
    if (elements.length === 0) throw new ExpressionError('Reducing an empty array needs a start value')
    result = elements[position]
    position += step
  }
  for (; position >= 0 && position < elements.length; position += step) {
    run.spend(1)
    result = callback(result, elements[position], position, shared(elements))
  }
  return result
}

const sort = withOptionalCallback<Elements>(sorted)
const reverse = plain<Elements>(reversed)

/** The methods of arrays, with JavaScript's meaning, but for one thing: sort and reverse make a copy. */
export const arrayMethods: Callables<Elements> = table<Elements>({
  map: withCallback((run, elements, callback) => {
    run.reserveElements(elements.length)
    return elements.map((element, index) => callback(element, index, shared(elements)))
  }),
  filter: testing((elements, test) => elements.filter(test)),
  find: testing((elements, test) => elements.find(test)),
  findIndex: testing((elements, test) => elements.findIndex(test)),
  findLast: testing((elements, test) => elements.findLast(test)),
  findLastIndex: testing((elements, test) => elements.findLastIndex(test)),
  some: testing((elements, test) => elements.some(test)),
  every: testing((elements, test) => elements.every(test)),
  flatMap: withCallback(flatMap),
  reduce: withCallback((run, elements, callback, args) => fold(run, elements, callback, args, 0, 1)),
  reduceRight: withCallback((run, elements, callback, args) => {
    return fold(run, elements, callback, args, elements.length - 1, -1)
  }),
  sort,
  toSorted: sort,
  reverse,
  toReversed: reverse,
  includes: plain(includes),
  indexOf: plain((run, elements, args) => seek(run, elements, args[0], startOf(elements, args[1]), 1)),
  lastIndexOf: plain(lastIndexOf),
  at: plain((_run, elements, args) => elements.at(toNumber(args[0]))),
  slice: plain((run, elements, args) => {
    const part = elements.slice(toNumber(args[0] ?? 0), args[1] === undefined ? undefined : toNumber(args[1]))
    run.reserveElements(part.length)
    return part
  }),
  with: plain((run, elements, args) => {
    run.reserveElements(elements.length)
    return elements.with(toNumber(args[0]), args[1])
  }),
  concat: plain(concat),
  flat: plain(flat),
  join: plain(join),
  toSpliced: plain(toSpliced),
})
