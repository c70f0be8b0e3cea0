import { type Callables, plain, table } from './callable.ts'
import { ExpressionError } from './error.ts'
import { toNumber, toText } from './value.ts'

/** ISO 8601 as ECMAScript has it. Other shapes are read differently from engine to engine. */
const isoDate =
  /^(?:[+-]\d{6}|\d{4})(?:-\d{2}(?:-\d{2})?)?(?<time>T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?<offset>Z|[+-]\d{2}:\d{2})?)?$/

/** Milliseconds since 1970, or NaN for what is no ISO 8601 date. A time without an offset is UTC, whatever the machine's zone. */
function parseDate(text: string): number {
  if (text.length > 40) return Number.NaN
  const match = isoDate.exec(text)
  if (!match) return Number.NaN
  const local = match.groups?.time !== undefined && match.groups.offset === undefined
  return Date.parse(local ? `${text}Z` : text)
}

/** Dates as texts and milliseconds. The present time is not here: an expression gives the same result whenever it is evaluated. */
export const dateFunctions: Callables = table<unknown>({
  parse: plain((_run, _self, args) => parseDate(toText(args[0]))),
  UTC: plain((_run, _self, args) => {
    const [year, month = 0, day = 1, hour = 0, minute = 0, second = 0, ms = 0] = args.map(toNumber)
    return Date.UTC(year ?? Number.NaN, month, day, hour, minute, second, ms)
  }),
  toISOString: plain((_run, _self, args) => {
    const ms = toNumber(args[0])
    const date = new Date(ms)
    if (Number.isNaN(date.getTime()))
      throw new ExpressionError(`Date.toISOString needs milliseconds since 1970, not ${ms}`)
    return date.toISOString()
  }),
})
