// biome-ignore-all lint/suspicious/noTemplateCurlyInString: template literals are part of the language
import t from 'tap'
import { compileExpression, type ExpressionError } from '../../src/definition/expression.ts'
import type { Json } from '../../src/definition/json.ts'
import { scopeOf, type World } from './scope.ts'

const hostile = JSON.parse(
  '{"__proto__": {"polluted": "yes"}, "constructor": {"name": "mine"}, "toString": 1, "valueOf": 2, "toJSON": 3, "then": 4, "length": -1}',
)
const world: World = { input: { hostile, text: 'a'.repeat(1000) }, data: [1, 2, 3] }
const evaluate = (source: string): Json | undefined => compileExpression(source).evaluate(scopeOf(world))

/** Ways out of the language, of which none may even compile. */
const escapes: readonly string[] = [
  // to constructors and prototypes
  'data.constructor',
  'data.constructor.constructor("return process")()',
  '"".constructor',
  'data.__proto__',
  'input.__proto__.polluted = 1',
  'data.prototype',
  '[].map.constructor("return 1")()',
  '"".sub.constructor("return 1")()',
  'data["map"](x => x)',
  'data["constructor"]("return 1")()',
  'data?.constructor',
  '({}).__defineGetter__("a", 1)',
  'Object.getPrototypeOf(data)',
  'Object.setPrototypeOf(data, null)',
  'Object.getOwnPropertyNames(data)',
  'Object.getOwnPropertyDescriptor(data, "length")',
  'Object.getOwnPropertySymbols(data)',
  'Object.create(null)',
  'Object.defineProperty(input, "a", { value: 1 })',
  'Object.assign(input, { a: 1 })',
  'Object.freeze(input)',
  'Object',
  'Object["keys"](input)',
  'Object.prototype',
  'Array.prototype.map',
  '{ __proto__: input }',
  '{ "__proto__": input }',
  'input.hasOwnProperty("a")',
  'input.hostile.valueOf()',
  '(1).constructor',
  'data.map.call(data, x => x)',
  'data.map.apply(data, [x => x])',
  'data.map.bind(data)',
  // to functions as values
  '() => 1',
  '(x => x)(1)',
  '(() => 1)()',
  '[x => x]',
  '{ a: x => x }',
  'data.map(x => y => x)',
  'data.includes(x => x)',
  'data.reduce(f => f, x => x)',
  'true ? x => x : 1',
  'data.map(Math.max)',
  'data.map(JSON.parse)',
  '"a".replace("a", x => x)',
  'Array.from(data, x => x, y => y)',
  'function f() {}',
  '(function () { return this })()',
  'class {}',
  'async () => 1',
  'data.map(function (x) { return x })',
  'data.map(x => { while (true) {} })',
  // to the machine
  'this',
  'process.exit(1)',
  'require("fs")',
  'import("node:fs")',
  'import.meta',
  'new.target',
  'new Date()',
  'new Function("return 1")()',
  'new (data.constructor)()',
  'eval("1")',
  'Function("return 1")()',
  'setTimeout(1)',
  'fetch("http://127.0.0.1")',
  'Date()',
  'Date.now()',
  'Math.random()',
  'Symbol("a")',
  'Reflect.get(data, "a")',
  'WebAssembly.compile(data)',
  'Atomics.wait(data)',
  'console.log(1)',
  'await data',
  'yield data',
  'super.a',
  'arguments.callee()',
  // to effects
  'input.a = 1',
  'input.a += 1',
  'input.a++',
  '--input.a',
  '[input.a] = [1]',
  '({ a: input.a } = { a: 1 })',
  'delete input.a',
  'data.push(1)',
  'data.splice(0)',
  'data.fill(0)',
  'data.map((x = input.a = 1) => x)',
  // other syntax
  'data`x`',
  '`${data.push(1)}`',
  'String.raw`a`',
  '{ get a() { return 1 } }',
  '{ set a(x) {} }',
  '{ a() { return 1 } }',
  '{ async a() {} }',
  '{ *a() {} }',
  '/(a+)+$/.test(input.text)',
  '/a/',
  'input.text.match("a")',
  'input.text.search("a")',
  'input.text.matchAll("a")',
  'void 0',
  'a instanceof b',
  '1, 2',
  'label: 1',
  'if (1) 2',
  'let a = 1',
  'debugger',
  '<!-- x',
  '#a in input',
  'input.#a',
  '"use strict"; 1',
  '\\u0074his',
  'throw 1',
  '1;',
  'data.toLocaleString()',
  '"a".toLocaleUpperCase("tr")',
  '[...data',
]

t.test('there is no way out of the language', async (t) => {
  for (const source of escapes) t.throws(() => compileExpression(source), { name: 'ExpressionError' }, source)
})

/** What looks like a way out and is plain data, or fails when it is evaluated. */
const harmless: readonly (readonly [source: string, value: Json | undefined | typeof Error])[] = [
  ["data['constructor']", undefined],
  ["data['__proto__']", undefined],
  ["'a'['__proto__']", undefined],
  ["'a'['constructor']", undefined],
  ["data['con' + 'structor']", undefined],
  ["(1)['constructor']", undefined],
  ["true['constructor']", undefined],
  ["input['__proto__']", undefined],
  ["input['toString']", undefined],
  ["data['map']", undefined],
  ["data[['map']]", Error],
  ["data['length']", 3],
  ["input.hostile['constructor'].name", 'mine'],
  ["input.hostile['__proto__'].polluted", 'yes'],
  ['input.hostile.polluted', undefined],
  ['input.hostile.length', -1],
  ['input.hostile.toString', 1],
  ['input.hostile + ""', Error],
  ['`${input.hostile}`', Error],
  ['input.hostile == 1', false],
  ['input.hostile > 1', Error],
  ['+input.hostile', Error],
  ['[input.hostile].join()', Error],
  ['[input.hostile, 1].sort()', Error],
  ['Math.max(input.hostile)', Error],
  ['"a".repeat(input.hostile)', Error],
  ['"a".includes(input.hostile)', Error],
  ['data[input.hostile]', Error],
  ['Array.from(input.hostile)', []],
  ['JSON.stringify(input.hostile).length > 10', true],
  ['Number(input.hostile)', Error],
  ['String(input.hostile)', Error],
  ['({ ...input.hostile }).polluted', undefined],
  ["Object.keys({ ...input.hostile }).includes('__proto__')", true],
  ["({ ['__proto__']: { polluted: 1 } }).polluted", undefined],
  ["Object.fromEntries([['__proto__', { polluted: 1 }]]).polluted", undefined],
  ['JSON.parse(\'{"__proto__": {"polluted": 1}}\').polluted', undefined],
  ["Object.groupBy([1], x => '__proto__').polluted", undefined],
  ["[{ ['__proto__']: 1 }].map(({ polluted }) => polluted)", [null]],
  ['[{}].map(({ constructor }) => constructor)', [null]],
  ['[[]].map(({ map }) => map)', [null]],
  ["'constructor' in input", false],
  ["'__proto__' in {}", false],
  ["'length' in data", true],
  ["Object.hasOwn(data, 'map')", false],
  ['data.map(constructor => constructor)[0]', 1],
  ['constructor', Error],
  ['__proto__', Error],
  ['hasOwnProperty', Error],
  ['globalThis.process', Error],
  ['Symbol.iterator', Error],
  ['data[Symbol.iterator]', Error],
  ['Intl.Collator', Error],
  ['Proxy', Error],
  ['arguments', Error],
  ['toString', Error],
  ['typeof constructor', 'undefined'],
  ["steps['__proto__'].output", undefined],
  ["steps['constructor'].status", 'pending'],
  ["Object.values('ab')", ['a', 'b']],
  ['Array.from({ length: 2 }, (x, i, more) => more)', [null, null]],
]

t.test('names that lead to prototypes in JavaScript are plain data here', async (t) => {
  for (const [source, value] of harmless) {
    if (value === Error) t.throws(() => evaluate(source), { name: 'ExpressionError' }, source)
    else t.strictSame(evaluate(source), value, source)
  }
  t.notOk('polluted' in {}, 'no prototype was changed')
})

t.test('what a scope gives cannot be changed', async (t) => {
  const data: Json = [3, 1, 2, { a: 1 }]
  const freeze = (value: Json): Json => {
    if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
    return value
  }
  freeze(data)
  const sources = [
    'data.slice(0, 3).sort()',
    'data.toReversed()',
    'data.reverse()',
    'data.with(0, 1)',
    'data.toSpliced(0, 1)',
    'data.concat(data)',
    '[...data, 1]',
    '{ ...data[3], b: 1 }',
    'data.flat()',
    'data.flatMap(x => [x])',
    'Array.from(data)',
    'data.map(x => [undefined, x])',
  ]
  for (const source of sources) t.doesNotThrow(() => compileExpression(source).evaluate(scopeOf({ data })), source)
})

const bomb = (body: string) => `Array.from({ length: 1000 }).reduce(x => ${body}, "ab")`
/** Expressions that would take all time or all memory. */
const exhausting: readonly string[] = [
  // time
  'Array.from({ length: 100000 }).map(x => Array.from({ length: 100000 }).map(y => 1).length).length',
  'Array.from({ length: 3000 }).map(x => Array.from({ length: 3000 }).filter(y => true).length).length',
  'Array.from({ length: 1000 }).reduce(x => x + 1, 0) + Array.from({ length: 900000 }).map((x, i) => i * i + i).length',
  'Array.from({ length: 200000 }, (_, i) => i).map(x => Array.from({ length: 20 }).includes(x)).length',
  'Array.from({ length: 500000 }).sort((a, b) => 1).length + Array.from({ length: 500000 }, (_, i) => -i).sort((a, b) => a - b).length',
  'Array.from({ length: 400000 }, (_, i) => "x" + i).sort().length',
  '"a".repeat(4000000).split("").map(x => x).length',
  'Array.from({ length: 100 }).map(x => "a".repeat(1000000).indexOf("a".repeat(999) + "b")).length',
  'Array.from({ length: 5000 }).map(x => JSON.parse(JSON.stringify(input.text.split("")))).length',
  '["a".repeat(4000000), "a".repeat(4000000)].map((a, i, all) => Array.from({ length: 100000 }).filter(x => all[0] === all[1]).length)',
  '["a".repeat(4000000), "a".repeat(4000000)].map((a, i, all) => Array.from({ length: 100000 }).filter(x => all[0] <= all[1]).length)',
  'Array.from({ length: 90000 }).map(x => Object.keys(input.text.split("")).length).length',
  'Array.from({ length: 100000 }, () => "a".repeat(10000).toUpperCase()).length',
  'Array.from({ length: 200 }, () => ("b".repeat(100000)).normalize("NFD").localeCompare("b".repeat(100000))).length',
  // memory
  bomb('x + x'),
  bomb('`${x}${x}`'),
  bomb('x.concat(x)'),
  bomb('[x, x]'),
  bomb('({ a: x, b: x })'),
  bomb('x.replaceAll("", x)'),
  bomb('x.split("").join(x)'),
  bomb('x.padEnd(x.length * 2)'),
  bomb('x.repeat(2)'),
  bomb('JSON.stringify(x)'),
  'Array.from({ length: 9 }).reduce(x => encodeURIComponent(x), "%".repeat(100000))',
  '"a".repeat(1e9)',
  '"a".repeat(1e308)',
  '"".padStart(1e9)',
  '"".padEnd(Infinity)',
  'Array.from({ length: 1e9 })',
  'Array.from({ length: Infinity })',
  '[].concat(...Array.from({ length: 1000 }, () => Array.from({ length: 100000 })))',
  'Array.from({ length: 30 }).reduce(x => x.concat(x), [1, 2]).length',
  'Array.from({ length: 30 }).reduce(x => [...x, ...x], [1, 2]).length',
  'Array.from({ length: 30 }).reduce(x => x.flatMap(y => [y, y]), [1]).length',
  'Array.from({ length: 30 }).reduce(x => [x, x], [1]).flat(Infinity).length',
  'Array.from({ length: 100000 }, () => "a".repeat(1000000))',
  'Array.from({ length: 100000 }, () => input.text.repeat(1000)).join("")',
  '"ab".replaceAll("", "a".repeat(2000000))',
  '"a".repeat(3000).replaceAll("a", "b".repeat(3000))',
  'Array.from({ length: 600 }).reduce(x => [x], 1)',
  'Array.from({ length: 600 }).reduce(x => ({ a: x }), 1)',
  'JSON.parse("[".repeat(100000) + "]".repeat(100000))',
  'JSON.stringify(Array.from({ length: 1000 }).reduce(x => [x], 1))',
  'JSON.stringify(Array.from({ length: 400 }).reduce(x => [x, 1], 1).concat(Array.from({ length: 100000 }, () => "x".repeat(100))), null, 10)',
  'JSON.stringify(Array.from({ length: 20 }).reduce(x => [x, x], data), null, 10)',
  'Array.from({ length: 50 }).reduce(x => ({ ...x, [JSON.stringify(x)]: x, a: x }), {})',
  '"\\ufdfa".repeat(1000000).normalize("NFKD")',
  'Math.max(...Array.from({ length: 2000000 }))',
  'String.fromCharCode(...Array.from({ length: 900000 }, () => 97)).length',
]

t.test('an expression that takes all time or all memory ends in an ExpressionError', async (t) => {
  for (const source of exhausting) t.throws(() => evaluate(source), { name: 'ExpressionError' }, source.slice(0, 100))
})

t.test('sources that nest without end are refused', async (t) => {
  const deep = (open: string, middle: string, close: string, times: number) =>
    open.repeat(times) + middle + close.repeat(times)
  const sources = [
    deep('(', '1', ')', 5000),
    deep('[', '1', ']', 5000),
    deep('!', '1', '', 15000),
    deep('-', '1', '', 15000),
    deep('{a:', '1', '}', 4000),
    deep('1?', '1', ':1', 4000),
    deep('data.map(x=>', '1', ')', 1000),
    deep('`${', '1', '}`', 3000),
    deep('', '1', '+1', 5000),
    deep('', 'data', '.a', 5000),
    deep('', 'data', '[0]', 5000),
    deep('(x=>', '1', ')', 3000),
    deep('typeof ', '1', '', 2000),
    deep('1**', '1', '', 5000),
    deep('', 'data', '?.a', 5000),
    '1'.padEnd(20_000),
  ]
  for (const source of sources)
    t.throws(() => compileExpression(source), { name: 'ExpressionError' }, source.slice(0, 30))
  t.equal(evaluate(deep('(', '1', ')', 100)), 1)
  t.equal(evaluate(`1${'+1'.repeat(200)}`), 201)
})

t.test('failures inside native functions come out as ExpressionErrors with their cause', async (t) => {
  const sources = [
    '(1).toFixed(1000)',
    '(1).toString(1)',
    '"a".normalize("b")',
    'decodeURIComponent("%E0%A4%A")',
    'JSON.parse("nope")',
    'String.fromCodePoint(-1)',
    '[1].with(9, 1)',
    '"a".localeCompare({})',
  ]
  for (const source of sources) t.throws(() => evaluate(source), { name: 'ExpressionError' }, source)
  try {
    evaluate('(1).toFixed(1000)')
  } catch (error) {
    t.ok((error as ExpressionError).cause instanceof RangeError)
  }
})

t.test('fuel counts for one evaluation: after one that failed the next has all of it', async (t) => {
  const expression = compileExpression('Array.from({ length: n }).map(x => 1).length')
  t.throws(() => expression.evaluate(scopeOf({ input: { n: 1e9 } })))
  t.equal(expression.evaluate(scopeOf({ input: { n: 10 } })), 10)
})
