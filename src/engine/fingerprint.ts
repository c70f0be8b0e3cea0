import { createHash } from 'node:crypto'

/** A hash of a request, the same for the same JSON whatever the order of its keys: what an idempotent replay must match. */
export function fingerprint(request: unknown): string {
  return createHash('sha256').update(canonical(request)).digest('base64url')
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = Object.entries(value).filter(([, member]) => member !== undefined)
  entries.sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${entries.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(',')}}`
}
