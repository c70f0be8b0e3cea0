import type { Json } from '../json.ts'
import { tokensOf } from '../json-pointer.ts'
import type { Fault } from '../plan.ts'

/** The faults in the order in which their places stand in the document; a place that is missing comes after its siblings. */
export function inDocumentOrder(document: Json, faults: readonly Fault[]): Fault[] {
  const orders = new Map<object, Map<string, number>>()
  const positionOf = (value: object, token: string): number => {
    if (Array.isArray(value)) return Number(token)
    const order = orders.get(value) ?? new Map(Object.keys(value).map((key, index) => [key, index]))
    orders.set(value, order)
    return order.get(token) ?? order.size
  }
  const pathOf = (pointer: string): number[] => {
    let value: unknown = document
    return tokensOf(pointer).map((token) => {
      if (typeof value !== 'object' || value === null) return 0
      const position = positionOf(value, token)
      value = Object.hasOwn(value, token) ? (value as Record<string, unknown>)[token] : undefined
      return position
    })
  }
  return faults
    .map((fault) => ({ fault, path: pathOf(fault.pointer) }))
    .sort((left, right) => compare(left.path, right.path))
    .map(({ fault }) => fault)
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (let i = 0; i < left.length && i < right.length; i++) {
    const difference = (left[i] as number) - (right[i] as number)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}
