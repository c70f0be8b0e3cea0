import type { Json } from '../json.ts'

/** Positions of two equal elements, or null. Linear, where comparing each with each would take hours for a long list. */
export function findRepetition(elements: readonly Json[], spend: (units: number) => void): [number, number] | null {
  const seen = new Map<string, number>()
  for (const [index, element] of elements.entries()) {
    const text = canonical(element, spend)
    const other = seen.get(text)
    if (other !== undefined) return [other, index]
    seen.set(text, index)
  }
  return null
}

/** The same text for equal values, whatever the order of their keys. */
function canonical(value: Json, spend: (units: number) => void): string {
  spend(10)
  if (typeof value === 'string') spend(value.length >> 4)
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map((element) => canonical(element, spend)).join()}]`
  const keys = Object.keys(value).sort()
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json, spend)}`).join()}}`
}
