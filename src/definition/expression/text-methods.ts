import { type Callables, type Perform, plain, table } from './callable.ts'
import { ExpressionError } from './error.ts'
import { MAX_ELEMENTS, type Run } from './run.ts'
import { toNumber, toText, type Value } from './value.ts'

/** U+FDFA becomes 18 characters in its compatibility form. */
const LARGEST_NORMAL_FORM = 18

const optionalNumber = (value: Value): number | undefined => (value === undefined ? undefined : toNumber(value))

/** One collation whatever the machine's locale is, so that every node sorts alike. */
const collator = new Intl.Collator('en')

/** A method that takes a part out by position. */
const reading = (perform: (text: string, first: number, second: number | undefined) => Value): Perform<string> => {
  return (run, text, args) => {
    const part = perform(text, toNumber(args[0] ?? 0), optionalNumber(args[1]))
    run.spendText(typeof part === 'string' ? part.length : 0)
    return part
  }
}

/** A method that compares one end of the text with another text. */
const comparing = (perform: (text: string, part: string, at: number | undefined) => boolean): Perform<string> => {
  return (run, text, args) => {
    const part = toText(args[0])
    run.spendText(part.length)
    return perform(text, part, optionalNumber(args[1]))
  }
}

/** A method that looks for one text in another. */
const searching = (perform: (text: string, needle: string, from: number | undefined) => Value): Perform<string> => {
  return (run, text, args) => {
    const needle = toText(args[0])
    run.spendSearch(text, needle)
    return perform(text, needle, optionalNumber(args[1]))
  }
}

/** A method that makes a text of the text alone; upper case and normal forms may be longer than what they come from. */
const converting = (perform: (text: string) => string): Perform<string> => {
  return (run, text) => {
    run.spendText(text.length)
    const converted = perform(text)
    run.reserveText(converted.length)
    return converted
  }
}

const padding = (perform: (text: string, length: number, filler: string | undefined) => string): Perform<string> => {
  return (run, text, args) => {
    const length = toNumber(args[0])
    run.reserveText(Number.isNaN(length) ? text.length : Math.max(length, text.length))
    return perform(text, length, args[1] === undefined ? undefined : toText(args[1]))
  }
}

function repeat(run: Run, text: string, args: readonly Value[]): Value {
  const count = toNumber(args[0])
  if (!(count >= 0) || count === Number.POSITIVE_INFINITY) {
    throw new ExpressionError(`.repeat needs a count of 0 or more, not ${count}`)
  }
  run.reserveText(text.length * Math.floor(count))
  return text.repeat(count)
}

function split(run: Run, text: string, args: readonly Value[]): Value {
  if (args[0] === undefined) return [text]
  const separator = toText(args[0])
  run.spendSearch(text, separator)
  const limit = args[1] === undefined ? MAX_ELEMENTS + 1 : Math.min(toNumber(args[1]) >>> 0, MAX_ELEMENTS + 1)
  const parts = text.split(separator, limit)
  run.reserveElements(parts.length)
  return parts
}

/** The replacement is taken as it is: `$&` and its kin would let a short text grow without bound. */
function replaceAll(run: Run, text: string, args: readonly Value[]): Value {
  const [needle, replacement] = [toText(args[0]), toText(args[1])]
  run.spendSearch(text, needle)
  let count = needle === '' ? text.length + 1 : 0
  if (needle !== '')
    for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + needle.length)) count++
  run.reserveText(text.length + count * (replacement.length - needle.length))
  run.spend(count)
  return text.replaceAll(needle, () => replacement)
}

function replace(run: Run, text: string, args: readonly Value[]): Value {
  const [needle, replacement] = [toText(args[0]), toText(args[1])]
  run.spendSearch(text, needle)
  run.reserveText(text.length + replacement.length)
  return text.replace(needle, () => replacement)
}

function concat(run: Run, text: string, args: readonly Value[]): Value {
  const parts = args.map(toText)
  run.reserveText(parts.reduce((length, part) => length + part.length, text.length))
  return text + parts.join('')
}

/** The methods of texts, with JavaScript's meaning. Positions count UTF-16 units. */
export const textMethods: Callables<string> = table<string>({
  at: plain(reading((text, index) => text.at(index))),
  charAt: plain(reading((text, index) => text.charAt(index))),
  charCodeAt: plain(reading((text, index) => text.charCodeAt(index))),
  codePointAt: plain(reading((text, index) => text.codePointAt(index))),
  slice: plain(reading((text, start, end) => text.slice(start, end))),
  substring: plain(reading((text, start, end) => text.substring(start, end))),
  includes: plain(searching((text, needle, from) => text.includes(needle, from))),
  startsWith: plain(comparing((text, needle, from) => text.startsWith(needle, from))),
  endsWith: plain(comparing((text, needle, end) => text.endsWith(needle, end))),
  indexOf: plain(searching((text, needle, from) => text.indexOf(needle, from))),
  lastIndexOf: plain(searching((text, needle, from) => text.lastIndexOf(needle, from))),
  trim: plain(converting((text) => text.trim())),
  trimStart: plain(converting((text) => text.trimStart())),
  trimEnd: plain(converting((text) => text.trimEnd())),
  toLowerCase: plain(converting((text) => text.toLowerCase())),
  toUpperCase: plain(converting((text) => text.toUpperCase())),
  toString: plain<string>((_run, text) => text),
  normalize: plain((run, text, args) => {
    const form = args[0] === undefined ? 'NFC' : toText(args[0])
    run.reserveText(text.length * LARGEST_NORMAL_FORM)
    return text.normalize(form)
  }),
  localeCompare: plain((run, text, args) => {
    const other = toText(args[0])
    run.spend(Math.min(text.length, other.length))
    return collator.compare(text, other)
  }),
  padStart: plain(padding((text, length, filler) => text.padStart(length, filler))),
  padEnd: plain(padding((text, length, filler) => text.padEnd(length, filler))),
  repeat: plain(repeat),
  split: plain(split),
  replace: plain(replace),
  replaceAll: plain(replaceAll),
  concat: plain(concat),
})
