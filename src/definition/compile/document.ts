import type { Json } from '../json.ts'
import type { Fault } from '../plan.ts'

/** Largest definition, in bytes of its JSON without spaces. */
export const MAX_BYTES = 1024 * 1024
/** How deep its JSON may nest: 100 levels of steps take 300. */
const MAX_DEPTH = 500

/**
 * The definition as plain JSON of our own, so that nobody changes it behind the plan's back, or the fault that stands in
 * the way: not JSON, too large, too deep.
 */
export function documentOf(definition: unknown): { document: Json } | { fault: Fault } {
  const text = textOf(definition)
  if (typeof text !== 'string') return { fault: { pointer: '', message: text.why } }
  const bytes = utf8Length(text)
  if (bytes > MAX_BYTES) {
    const message = `The definition has ${bytes} bytes; at most ${MAX_BYTES} are taken. Move large data into the input or a data source`
    return { fault: { pointer: '', message } }
  }
  const document = JSON.parse(text) as Json
  if (depthOf(document) > MAX_DEPTH) {
    return { fault: { pointer: '', message: `The definition nests deeper than ${MAX_DEPTH} levels` } }
  }
  return { document }
}

function textOf(definition: unknown): string | { why: string } {
  const notJson = 'The definition is not JSON data'
  try {
    return JSON.stringify(definition) ?? { why: notJson }
  } catch (error) {
    return { why: error instanceof RangeError ? 'The definition nests too deeply' : notJson }
  }
}

function utf8Length(text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // A surrogate pair is two units and four bytes.
    if (unit >= 0x80) bytes += unit >= 0x800 && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

/** Level by level, since the depth is what is not known yet. */
function depthOf(document: Json): number {
  let depth = 0
  let level: Json[] = [document]
  while (level.length > 0) {
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []))
    if (level.length > 0) depth++
  }
  return depth
}
