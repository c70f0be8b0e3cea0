import type { BinaryExpression, ConditionalExpression, LogicalExpression, UnaryExpression } from 'acorn'
import type { Context, Evaluate } from './context.ts'
import { ExpressionError, located } from './error.ts'
import { compileNameOrUndefined } from './names.ts'
import type { Run } from './run.ts'
import { isObject, kindOf, toKey, toNumber, toText, type Value } from './value.ts'

type Binary = (run: Run, left: Value, right: Value) => Value

const arithmetic =
  (operate: (left: number, right: number) => number): Binary =>
  (_run, left, right) =>
    operate(toNumber(left), toNumber(right))

const comparison =
  (numbers: (left: number, right: number) => boolean, texts: (left: string, right: string) => boolean): Binary =>
  (run, left, right) => {
    if (typeof left !== 'string' || typeof right !== 'string') return numbers(toNumber(left), toNumber(right))
    run.spend(Math.min(left.length, right.length) >> 6)
    return texts(left, right)
  }

/** `==`: null and undefined are equal, scalars as in JavaScript; an array or object equals itself alone. */
const looselyEqual = (run: Run, left: Value, right: Value): boolean => {
  if (isObject(left) || isObject(right)) return left === right
  if (typeof left === 'string' && typeof right === 'string') return run.same(left, right)
  run.spendText(typeof left === 'string' ? left.length : typeof right === 'string' ? right.length : 0)
  // biome-ignore lint/suspicious/noDoubleEquals: this is the language's own ==
  return left == right
}

const binaries: { readonly [operator: string]: Binary } = {
  '===': (run, left, right) => run.same(left, right),
  '!==': (run, left, right) => !run.same(left, right),
  '==': looselyEqual,
  '!=': (run, left, right) => !looselyEqual(run, left, right),
  '<': comparison(
    (left, right) => left < right,
    (left, right) => left < right,
  ),
  '<=': comparison(
    (left, right) => left <= right,
    (left, right) => left <= right,
  ),
  '>': comparison(
    (left, right) => left > right,
    (left, right) => left > right,
  ),
  '>=': comparison(
    (left, right) => left >= right,
    (left, right) => left >= right,
  ),
  '+': (run, left, right) => {
    if (typeof left !== 'string' && typeof right !== 'string') return toNumber(left) + toNumber(right)
    const [head, tail] = [toText(left), toText(right)]
    run.reserveText(head.length + tail.length)
    return head + tail
  },
  '-': arithmetic((left, right) => left - right),
  '*': arithmetic((left, right) => left * right),
  '/': arithmetic((left, right) => left / right),
  '%': arithmetic((left, right) => left % right),
  '**': arithmetic((left, right) => left ** right),
  '|': arithmetic((left, right) => left | right),
  '&': arithmetic((left, right) => left & right),
  '^': arithmetic((left, right) => left ^ right),
  '<<': arithmetic((left, right) => left << right),
  '>>': arithmetic((left, right) => left >> right),
  '>>>': arithmetic((left, right) => left >>> right),
  in: (_run, left, right) => {
    if (!isObject(right)) throw new ExpressionError(`\`in\` looks into objects and arrays, not ${kindOf(right)}`)
    return Object.hasOwn(right, toKey(left))
  },
}

export function compileBinary(node: BinaryExpression, context: Context): Evaluate {
  const operate = Object.hasOwn(binaries, node.operator) ? binaries[node.operator] : undefined
  if (!operate) throw context.refusal(node, `The operator ${node.operator} is not part of the language`)
  const left = context.compile(node.left)
  const right = context.compile(node.right)
  const place = context.place(node)
  return (run) => {
    run.spend(1)
    const first = left(run)
    const second = right(run)
    try {
      return operate(run, first, second)
    } catch (error) {
      throw located(error, place)
    }
  }
}

export function compileLogical(node: LogicalExpression, context: Context): Evaluate {
  const left = context.compile(node.left)
  const right = context.compile(node.right)
  if (node.operator === '&&') return (run) => left(run) && right(run)
  if (node.operator === '||') return (run) => left(run) || right(run)
  return (run) => left(run) ?? right(run)
}

export function compileConditional(node: ConditionalExpression, context: Context): Evaluate {
  const test = context.compile(node.test)
  const consequent = context.compile(node.consequent)
  const alternate = context.compile(node.alternate)
  return (run) => (test(run) ? consequent(run) : alternate(run))
}

export function compileUnary(node: UnaryExpression, context: Context): Evaluate {
  if (node.operator === 'typeof') return compileTypeof(node, context)
  const argument = context.compile(node.argument)
  const place = context.place(node)
  const number = (operate: (value: number) => number): Evaluate => {
    return (run) => {
      run.spend(1)
      const value = argument(run)
      try {
        return operate(toNumber(value))
      } catch (error) {
        throw located(error, place)
      }
    }
  }
  switch (node.operator) {
    case '!':
      return (run) => {
        run.spend(1)
        return !argument(run)
      }
    case '-':
      return number((value) => -value)
    case '+':
      return number((value) => value)
    case '~':
      return number((value) => ~value)
    default:
      throw context.refusal(node, `The operator ${node.operator} is not part of the language`)
  }
}

/** Like JavaScript's, it may ask after a name that does not exist. */
function compileTypeof(node: UnaryExpression, context: Context): Evaluate {
  let { argument } = node
  while (argument.type === 'ParenthesizedExpression') argument = argument.expression
  const value =
    argument.type === 'Identifier' ? compileNameOrUndefined(argument, context.deeper()) : context.compile(argument)
  return (run) => {
    run.spend(1)
    return typeof value(run)
  }
}
