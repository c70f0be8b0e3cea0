import type { Json } from '../definition/json.ts'

/** About how many bytes a value takes as JSON or in memory: for bounds, not for bills. Builds no text. */
export function roughBytes(value: Json | undefined): number {
  if (typeof value === 'string') return value.length + 2
  if (typeof value !== 'object' || value === null) return 8
  let bytes = 2
  if (Array.isArray(value)) {
    for (const item of value) bytes += 1 + roughBytes(item)
    return bytes
  }
  for (const key in value) bytes += key.length + 4 + roughBytes(value[key])
  return bytes
}
