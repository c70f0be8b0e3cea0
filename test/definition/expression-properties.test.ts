// biome-ignore-all lint/suspicious/noTemplateCurlyInString: template literals are part of the language
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Run } from '../../src/definition/expression/run.ts'
import { compileExpression, ExpressionError, type Scope } from '../../src/definition/expression.ts'
import type { Json } from '../../src/definition/json.ts'
import { scopeOf } from './scope.ts'

const numbers = [3, -1, 0.5, 10, 2, 2]
const texts = ['b', 'a', 'ä', '', 'long text, with a comma', '10']
const input = { numbers, texts, n: 4, s: 'Cairn', yes: true, none: null, object: { a: 1, b: [1, 2] } }

/** What JavaScript itself makes of the source: the value as JSON would hold it, or 'fails' where this language fails too. */
function javaScript(source: string): { value: unknown } | 'fails' {
  try {
    const value: unknown = new Function('input', `"use strict"; return (${source})`)(structuredClone(input))
    return holdsNoJson(value) ? 'fails' : { value: value === undefined ? undefined : JSON.parse(JSON.stringify(value)) }
  } catch {
    return 'fails'
  }
}

function holdsNoJson(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsNoJson)
}

function cairn(source: string): { value: unknown } | 'fails' {
  try {
    return { value: compileExpression(source).evaluate(scopeOf({ input })) }
  } catch (error) {
    if (error instanceof ExpressionError) return 'fails'
    throw error
  }
}

/** Expressions whose types are right, so that both languages must agree; `x` is an element's name inside callbacks. */
const { number, text, truth, numberList, textList } = fc.letrec<
  Record<'number' | 'text' | 'truth' | 'numberList' | 'textList', string>
>((tie) => {
  const [number, text, truth, numberList, textList] = [
    tie('number'),
    tie('text'),
    tie('truth'),
    tie('numberList'),
    tie('textList'),
  ]
  const build = (template: string, ...parts: fc.Arbitrary<string>[]) =>
    fc
      .tuple(...parts)
      .map((values) => values.reduce((source, value, index) => source.replaceAll(`<${index}>`, () => value), template))
  const option = fc.oneof
  return {
    number: option(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(
        '0',
        '1',
        '2.5',
        '7',
        '(-3)',
        'input.n',
        'input.numbers[0]',
        'input.numbers.length',
        'input.s.length',
        'input.object.b[1]',
      ),
      build(
        '(<0> <1> <2>)',
        number,
        fc.constantFrom('+', '-', '*', '/', '%', '|', '&', '^', '<<', '>>', '>>>'),
        number,
      ),
      build('(<0> ? <1> : <2>)', truth, number, number),
      build('(<0> ?? <1>)', number, number),
      build('(-<0>)', number),
      build('(~<0>)', number),
      build('Math.<0>(<1>)', fc.constantFrom('abs', 'ceil', 'floor', 'round', 'sign', 'trunc', 'sqrt'), number),
      build('Math.<0>(...<1>)', fc.constantFrom('max', 'min'), numberList),
      build('<0>.reduce((sum, x) => sum + x * <1>, <2>)', numberList, number, number),
      build('<0>.indexOf(<1>)', numberList, number),
      build('<0>.findIndex(x => x > <1>)', numberList, number),
      build('(<0>.at(<1>) ?? 0)', numberList, number),
      build('<0>.<1>(<2>)', text, fc.constantFrom('indexOf', 'lastIndexOf'), text),
      build('Number(<0>)', text),
      build('parseInt(<0>)', text),
    ),
    text: option(
      { depthSize: 'small' },
      fc.constantFrom('"a"', "'it is'", '""', 'input.s', 'input.texts[0]', '"ä"', '"1,2,3"'),
      build('(<0> + <1>)', text, option(text, number, truth)),
      build('`<${<0>}|${<1>}>`', number, text),
      build('<0>.<1>()', text, fc.constantFrom('trim', 'toUpperCase', 'toLowerCase', 'toString', 'normalize')),
      build('<0>.<1>(<2>, <3>)', text, fc.constantFrom('slice', 'substring'), number, number),
      build(
        '<0>.<1>(<2>, <3>)',
        text,
        fc.constantFrom('padStart', 'padEnd'),
        fc.constantFrom('0', '3', '12', '-1'),
        text,
      ),
      build('<0>.replaceAll(<1>, "_")', text, text),
      build('<0>.replace(<1>, <2>)', text, text, text),
      build('<0>.join(<1>)', option(textList, numberList), text),
      build('String(<0>)', option(number, truth, text)),
      build('JSON.stringify(<0>)', option(numberList, textList, text, number)),
      build('<0>.toFixed(2)', number),
      build('(<0> || <1>)', text, text),
    ),
    truth: option(
      { depthSize: 'small' },
      fc.constantFrom('true', 'false', 'input.yes', '!input.none', '!!input.missing'),
      build(
        '(<0> <1> <2>)',
        number,
        fc.constantFrom('<', '<=', '>', '>=', '===', '!==', '==', '!='),
        option(number, text),
      ),
      build('(<0> <1> <2>)', text, fc.constantFrom('<', '<=', '>', '>=', '===', '!=='), text),
      build('(<0> <1> <2>)', truth, fc.constantFrom('&&', '||'), truth),
      build('(!<0>)', option(truth, number, text)),
      build('<0>.<1>(x => x > <2>)', numberList, fc.constantFrom('some', 'every'), number),
      build('<0>.includes(<1>)', text, text),
      build('<0>.includes(<1>)', numberList, number),
      build('<0>.startsWith(<1>)', text, text),
      build('(<0> in input)', fc.constantFrom('"n"', '"missing"', '"object"')),
      build('isNaN(<0>)', number),
    ),
    numberList: option(
      { depthSize: 'small' },
      fc.constantFrom('input.numbers', '[]', '[1, 2, 3]', 'input.object.b'),
      build('[<0>, ...<1>]', number, numberList),
      build('<0>.map(x => x + <1>)', numberList, number),
      build('<0>.map((x, i) => x * i - <1>)', numberList, number),
      build('<0>.filter(x => x <1> <2>)', numberList, fc.constantFrom('<', '>', '!=='), number),
      build('<0>.slice(<1>, <2>)', numberList, number, number),
      build('<0>.concat(<1>)', numberList, option(number, numberList)),
      build('<0>.toSorted((a, b) => a - b)', numberList),
      build('<0>.toSorted()', numberList),
      build('<0>.toReversed()', numberList),
      build('<0>.flatMap(x => [x, <1>])', numberList, number),
      build('<0>.toSpliced(<1>, 1, 9)', numberList, number),
      build('<0>.map(x => x.length)', textList),
      build('Array.from({ length: 3 }, (_, i) => i + <0>)', number),
      build('Object.values({ a: <0>, b: <1> })', number, number),
    ),
    textList: option(
      { depthSize: 'small' },
      fc.constantFrom('input.texts', '["x", "y"]', 'Object.keys(input)'),
      build('[<0>, <1>]', text, text),
      build('<0>.split(<1>)', text, text),
      build('<0>.map(x => x + <1>)', textList, text),
      build('<0>.filter(x => <1>)', textList, truth),
      build('<0>.toSorted()', textList),
      build('Object.entries({ k: <0> }).map(([key, value]) => key + value)', text),
    ),
  }
})

t.test('right expressions mean what they mean in JavaScript', async (t) => {
  fc.assert(
    fc.property(fc.oneof(number, text, truth, numberList, textList), (source) => {
      fc.pre(source.length < 4_000)
      assert.deepEqual(cairn(source), javaScript(source))
    }),
    { numRuns: 3_000 },
  )
  t.pass('they agree')
})

/** Anything that the grammar allows and much that it does not, types as they come. */
const { anything } = fc.letrec<{ anything: string }>((tie) => {
  const part = tie('anything')
  const combine = (...pieces: (string | fc.Arbitrary<string>)[]) =>
    fc
      .tuple(...pieces.map((piece) => (typeof piece === 'string' ? fc.constant(piece) : piece)))
      .map((all) => all.join(''))
  const methods = fc.constantFrom(
    'map',
    'filter',
    'reduce',
    'sort',
    'join',
    'repeat',
    'split',
    'concat',
    'flat',
    'padEnd',
    'replaceAll',
    'slice',
    'at',
    'flatMap',
    'includes',
    'with',
    'toFixed',
    'constructor',
    'call',
    'find',
  )
  return {
    anything: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(
        'data',
        'input',
        'x',
        'y',
        '1',
        '1e9',
        '-1',
        '"a"',
        'undefined',
        'null',
        '[]',
        '{}',
        'NaN',
        'input.hostile',
        'steps.a.output',
        'secrets.a',
        'this',
        'x => x',
        'Math',
        '/a/',
      ),
      combine(
        '(',
        part,
        fc.constantFrom('+', '-', '*', '**', '<<', '==', '===', '<', '&&', '??', ' in ', ',', '='),
        part,
        ')',
      ),
      combine(part, '.', methods, '(', part, ')'),
      combine(part, '.', methods, '(x => ', part, ')'),
      combine(part, '.', methods, '((x, y) => ', part, ', ', part, ')'),
      combine(part, fc.constantFrom('.', '?.'), fc.constantFrom('a', 'length', '__proto__', 'constructor', 'hostile')),
      combine(part, '[', part, ']'),
      combine('[', part, ', ...', part, ']'),
      combine('{ a: ', part, ', [', part, ']: ', part, ', ...', part, ' }'),
      combine('`a${', part, '}`'),
      combine(fc.constantFrom('!', '-', '+', '~', 'typeof ', 'void ', 'delete ', 'new '), part),
      combine(
        fc.constantFrom(
          'Object.keys',
          'Object.entries',
          'Object.fromEntries',
          'JSON.stringify',
          'JSON.parse',
          'Array.from',
          'String',
          'Number',
          'Math.max',
          'Date.parse',
        ),
        '(',
        part,
        ')',
      ),
      combine('Array.from({ length: ', part, ' }, (x, y) => ', part, ')'),
      combine(part, ' ? ', part, ' : ', part),
    ),
  }
})

const hostile: Json = JSON.parse(
  '{"__proto__": {"x": 1}, "toString": 1, "valueOf": [], "length": 1e9, "constructor": null, "a": [[[[1]]]]}',
)

t.test(
  'whatever the source, nothing but an ExpressionError comes out, and no more work is done than the fuel allows',
  async (t) => {
    const fuel = 2_000
    fc.assert(
      fc.property(anything, (source) => {
        let reads = 0
        const scope = scopeOf({
          input: { hostile, x: [1, 2, 3], y: 'text' },
          data: [[1], { a: 'b' }, 'c', null],
          variables: {},
        })
        const root: Scope['root'] = (name) => {
          reads++
          return scope.root(name)
        }
        const run = new Run({ ...scope, root }, fuel)
        try {
          const value = compileExpression(source).evaluateIn(run)
          assert.deepEqual(value === undefined ? undefined : JSON.parse(JSON.stringify(value)), value)
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error
        }
        // A bare name may look into variables and input.
        assert.ok(run.fuel >= 0 && reads <= 2 * fuel + 2)
      }),
      { numRuns: 5_000 },
    )
    t.pass('nothing else came out')
  },
)

t.test('no text is read as anything but an expression or an error', async (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: fc.constantFrom(...'abx01."\'`$(){}[]=>?:,+-*/!&|\\ \n') }),
      ),
      (source) => {
        try {
          compileExpression(source)
        } catch (error) {
          if (!(error instanceof ExpressionError)) throw error
        }
      },
    ),
    { numRuns: 5_000 },
  )
  t.pass('nothing else came out')
})
