import { type Callable, type Callables, plain, table } from './callable.ts'
import { dateFunctions } from './dates.ts'
import { arrayFunctions, jsonFunctions, objectFunctions } from './object-functions.ts'
import { toNumber, toText, type Value } from './value.ts'

/** A function of numbers. */
const numeric = (perform: (...numbers: number[]) => number): Callable =>
  plain<unknown>((run, _self, args) => {
    run.spend(args.length)
    return perform(...args.map(toNumber))
  })

const textToNumber = (perform: (text: string) => number) =>
  plain<unknown>((run, _self, args) => {
    const text = toText(args[0])
    run.spendText(text.length)
    return perform(text)
  })

const question = (perform: (value: Value) => boolean) => plain<unknown>((_run, _self, args) => perform(args[0]))

const encoding = (perform: (text: string) => string) =>
  plain<unknown>((run, _self, args) => {
    const text = toText(args[0])
    run.reserveText(text.length * 9)
    return perform(text)
  })

const parseInteger = plain<unknown>((run, _self, args) => {
  const text = toText(args[0])
  run.spendText(text.length)
  return Number.parseInt(text, args[1] === undefined ? undefined : toNumber(args[1]))
})
const parseDecimal = textToNumber(Number.parseFloat)

/** Functions called by their bare name. */
export const globalFunctions: Callables = table<unknown>({
  String: plain((_run, _self, args) => (args.length === 0 ? '' : toText(args[0]))),
  Number: plain((run, _self, args) => {
    if (args.length === 0) return 0
    if (typeof args[0] === 'string') run.spendText(args[0].length)
    return toNumber(args[0])
  }),
  Boolean: question(Boolean),
  parseInt: parseInteger,
  parseFloat: parseDecimal,
  isNaN: question((value) => Number.isNaN(toNumber(value))),
  isFinite: question((value) => Number.isFinite(toNumber(value))),
  encodeURIComponent: encoding(encodeURIComponent),
  decodeURIComponent: encoding(decodeURIComponent),
  encodeURI: encoding(encodeURI),
})

interface Namespace {
  readonly functions: Callables
  readonly constants: ReadonlyMap<string, number>
}

const none: ReadonlyMap<string, number> = new Map()

const mathNames = [
  'abs',
  'acos',
  'asin',
  'atan',
  'atan2',
  'cbrt',
  'ceil',
  'cos',
  'exp',
  'floor',
  'hypot',
  'log',
  'log10',
  'log1p',
  'log2',
  'pow',
  'round',
  'sign',
  'sin',
  'sqrt',
  'tan',
  'trunc',
] as const

/** Functions and constants called as `Math.max(…)`. No clock and no chance among them. */
export const namespaces: ReadonlyMap<string, Namespace> = new Map<string, Namespace>([
  [
    'Math',
    {
      functions: new Map([
        ...mathNames.map((name) => [name, numeric(Math[name] as (...numbers: number[]) => number)] as const),
        // One by one: a call cannot take as many arguments as an array has elements.
        [
          'max',
          numeric((...numbers) => numbers.reduce((left, right) => Math.max(left, right), Number.NEGATIVE_INFINITY)),
        ],
        [
          'min',
          numeric((...numbers) => numbers.reduce((left, right) => Math.min(left, right), Number.POSITIVE_INFINITY)),
        ],
      ]),
      constants: new Map([
        ['PI', Math.PI],
        ['E', Math.E],
        ['LN2', Math.LN2],
        ['LN10', Math.LN10],
        ['SQRT2', Math.SQRT2],
      ]),
    },
  ],
  [
    'Number',
    {
      functions: table<unknown>({
        isInteger: question(Number.isInteger),
        isSafeInteger: question(Number.isSafeInteger),
        isFinite: question(Number.isFinite),
        isNaN: question(Number.isNaN),
        parseInt: parseInteger,
        parseFloat: parseDecimal,
      }),
      constants: new Map([
        ['MAX_SAFE_INTEGER', Number.MAX_SAFE_INTEGER],
        ['MIN_SAFE_INTEGER', Number.MIN_SAFE_INTEGER],
        ['MAX_VALUE', Number.MAX_VALUE],
        ['EPSILON', Number.EPSILON],
      ]),
    },
  ],
  [
    'String',
    {
      functions: table<unknown>({
        fromCharCode: plain((run, _self, args) => {
          run.spend(args.length)
          return String.fromCharCode(...args.map(toNumber))
        }),
        fromCodePoint: plain((run, _self, args) => {
          run.spend(args.length)
          return String.fromCodePoint(...args.map(toNumber))
        }),
      }),
      constants: none,
    },
  ],
  ['Object', { functions: objectFunctions, constants: none }],
  ['Array', { functions: arrayFunctions, constants: none }],
  ['JSON', { functions: jsonFunctions, constants: none }],
  ['Date', { functions: dateFunctions, constants: none }],
])

/** Whether the name is one of the language's functions or namespaces. */
export const isFunctionName = (name: string): boolean => globalFunctions.has(name) || namespaces.has(name)
