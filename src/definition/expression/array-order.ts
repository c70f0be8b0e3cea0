import type { Callback } from './callable.ts'
import type { Run } from './run.ts'
import { toNumber, toText, type Value } from './value.ts'

/** A sorted copy; without a callback in the order of the texts, as in JavaScript. undefined goes to the end. */
export function sorted(run: Run, elements: readonly Value[], compare: Callback | undefined): Value {
  run.reserveElements(elements.length)
  if (compare) {
    return elements.toSorted((left, right) => {
      run.spend(1)
      return toNumber(compare(left, right))
    })
  }
  const defined = elements.filter((element) => element !== undefined)
  const keyed = defined.map((value) => ({ value, text: toText(value) }))
  keyed.sort((left, right) => {
    run.spend((Math.min(left.text.length, right.text.length) >> 6) + 1)
    return left.text < right.text ? -1 : left.text > right.text ? 1 : 0
  })
  const result: Value[] = keyed.map(({ value }) => value)
  while (result.length < elements.length) result.push(undefined)
  return result
}

export function reversed(run: Run, elements: readonly Value[]): Value {
  run.reserveElements(elements.length)
  return elements.toReversed()
}
