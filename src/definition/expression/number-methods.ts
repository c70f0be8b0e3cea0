import { type Callables, plain, table } from './callable.ts'
import { toNumber, type Value } from './value.ts'

const digits = (value: Value): number | undefined => (value === undefined ? undefined : toNumber(value))

/** The methods of numbers, with JavaScript's meaning. Nothing here knows a locale. */
export const numberMethods: Callables<number> = table<number>({
  toFixed: plain((_run, number, args) => number.toFixed(digits(args[0]))),
  toPrecision: plain((_run, number, args) => number.toPrecision(digits(args[0]))),
  toExponential: plain((_run, number, args) => number.toExponential(digits(args[0]))),
  toString: plain<number>((_run, number, args) => number.toString(digits(args[0]))),
})

export const booleanMethods: Callables<boolean> = table<boolean>({
  toString: plain<boolean>((_run, boolean) => String(boolean)),
})
