const changing = (remedy: string): string => `Expressions change nothing; write ${remedy}`
const noRegularExpressions =
  'Regular expressions are not part of the language; use includes, startsWith, endsWith or split'
const noLocale = 'What the machine calls its locale must not matter; use toFixed, or Date.toISOString(milliseconds)'
const noClock =
  'The present time cannot be read, so that an expression gives the same result whenever it is evaluated; see execution.startedAt'
const noPrototypes = 'Prototypes are not part of the language'

/** JavaScript methods that people reach for and that the language leaves out, with what to write instead. */
export const refusedMethods: ReadonlyMap<string, string> = new Map([
  ['push', changing('array.concat(value) or [...array, value]')],
  ['unshift', changing('[value, ...array]')],
  ['pop', changing('array.slice(0, -1), and array.at(-1) for the element')],
  ['shift', changing('array.slice(1), and array[0] for the element')],
  ['splice', changing('array.toSpliced(…)')],
  ['fill', changing('array.map(() => value)')],
  ['copyWithin', changing('slice and concat')],
  ['forEach', changing('array.map(item => …)')],
  ['match', noRegularExpressions],
  ['matchAll', noRegularExpressions],
  ['search', noRegularExpressions],
  ['test', noRegularExpressions],
  ['exec', noRegularExpressions],
  ['toLocaleString', noLocale],
  ['toLocaleDateString', noLocale],
  ['toLocaleTimeString', noLocale],
  ['toLocaleLowerCase', 'Write toLowerCase()'],
  ['toLocaleUpperCase', 'Write toUpperCase()'],
  ['hasOwnProperty', 'Write Object.hasOwn(value, name)'],
  ['keys', 'Write Object.keys(value)'],
  ['values', 'Write Object.values(value)'],
  ['entries', 'Write Object.entries(value)'],
  ['toISOString', 'Write Date.toISOString(milliseconds)'],
  ['getTime', 'Write Date.parse(text)'],
  ['valueOf', 'Values are what they are; leave .valueOf() out'],
  ['constructor', noPrototypes],
  ['call', 'Functions are no values here; call the method itself'],
  ['apply', 'Functions are no values here; call the method itself, with ...values'],
  ['bind', 'Functions are no values here; write an arrow function'],
  ['Date.now', noClock],
  [
    'Math.random',
    'Chance is not part of the language, so that an expression gives the same result whenever it is evaluated',
  ],
  ['Object.assign', 'Write { ...first, ...second }'],
  ['Object.create', noPrototypes],
  ['Object.getPrototypeOf', noPrototypes],
  ['Object.setPrototypeOf', noPrototypes],
  ['Object.getOwnPropertyNames', 'Write Object.keys(value)'],
  ['Object.getOwnPropertyDescriptor', noPrototypes],
  ['Object.defineProperty', changing('{ ...value, [name]: newValue }')],
  ['String.raw', 'Write a plain template literal'],
])
