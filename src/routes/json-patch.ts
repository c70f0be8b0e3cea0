import { isDeepStrictEqual } from 'node:util'
import { createPatch, type Operation } from 'rfc6902'
import { Type } from 'typebox'
import { oneOf } from './scalar.ts'

export const PatchOperation = Type.Object(
  {
    op: oneOf(['add', 'remove', 'replace', 'move', 'copy', 'test']),
    path: Type.String({ description: 'RFC 6901 JSON pointer', examples: ['/steps/0/config/url'] }),
    from: Type.Optional(Type.String()),
    value: Type.Optional(Type.Unknown()),
  },
  { $id: 'PatchOperation', description: 'One operation of a JSON Patch (RFC 6902)' },
)

/**
 * The shortest patch between two arrays takes time by the cube of their length: 100 items that all differ 126 ms, 500 items 7 s.
 * Beyond 10 items the patch is made in one pass instead.
 */
const MAX_COMPARED_ITEMS = 10

/** The JSON Patch that turns `from` into `to`, in time proportional to their size. */
export function jsonPatch(from: unknown, to: unknown): Operation[] {
  return createPatch(from, to, (input, output, pointer) => {
    if (!Array.isArray(input) || !Array.isArray(output)) return undefined
    if (Math.max(input.length, output.length) <= MAX_COMPARED_ITEMS) return undefined
    return longArrayPatch(input, output, pointer.toString())
  })
}

/** Leaves out what both begin and end with, compares the middle item by item, then adds or removes what is left over. */
function longArrayPatch(from: readonly unknown[], to: readonly unknown[], path: string): Operation[] {
  const shorter = Math.min(from.length, to.length)
  let start = 0
  while (start < shorter && isDeepStrictEqual(from[start], to[start])) start++
  let end = 0
  while (end < shorter - start && isDeepStrictEqual(from.at(-1 - end), to.at(-1 - end))) end++

  const operations: Operation[] = []
  for (let index = start; index < shorter - end; index++) {
    for (const operation of jsonPatch(from[index], to[index])) {
      operations.push({ ...operation, path: `${path}/${index}${operation.path}` })
    }
  }
  for (let index = from.length - end - 1; index >= to.length - end; index--) {
    operations.push({ op: 'remove', path: `${path}/${index}` })
  }
  for (let index = from.length - end; index < to.length - end; index++) {
    operations.push({ op: 'add', path: `${path}/${index}`, value: to[index] })
  }
  return operations
}
