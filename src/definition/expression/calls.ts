import type { AnyNode, ArrowFunctionExpression, CallExpression, MemberExpression } from 'acorn'
import { didYouMean } from '../nearest.ts'
import { arrayMethods } from './array-methods.ts'
import type { Callable, Callables, Callback } from './callable.ts'
import { compileSpread } from './containers.ts'
import type { Context, Evaluate } from './context.ts'
import { ExpressionError, located } from './error.ts'
import { globalFunctions, namespaces } from './functions.ts'
import { withoutParentheses } from './names.ts'
import { booleanMethods, numberMethods } from './number-methods.ts'
import { compilePattern, namesOf } from './patterns.ts'
import { refusedMethods } from './refused-methods.ts'
import type { Run } from './run.ts'
import { textMethods } from './text-methods.ts'
import { kindOf, type Value } from './value.ts'

const methodNames: ReadonlySet<string> = new Set(
  [arrayMethods, textMethods, numberMethods, booleanMethods].flatMap((methods: Callables<never>) => [
    ...methods.keys(),
  ]),
)

/** A call: of a method or function of the fixed table, never of a value. */
export function compileCall(node: CallExpression, context: Context): Evaluate {
  const callee = withoutParentheses(node.callee)
  if (callee.type === 'Identifier' && !context.isShadowed(callee.name)) {
    const callable = globalFunctions.get(callee.name)
    if (callable) return compileFunctionCall(callable, node, context)
    throw context.refusal(
      node,
      `There is no function ${callee.name}.${didYouMean(callee.name, globalFunctions.keys())}`,
    )
  }
  if (callee.type !== 'MemberExpression')
    throw context.refusal(node, 'Only methods and functions of the language can be called')
  if (callee.computed || callee.property.type !== 'Identifier') {
    throw context.refusal(node, 'A method is called by its name: value.method(…)')
  }
  const { name } = callee.property
  const owner = withoutParentheses(callee.object)
  const namespace =
    owner.type === 'Identifier' && !context.isShadowed(owner.name) ? namespaces.get(owner.name) : undefined
  if (!namespace) return compileMethodCall(callee, name, node, context)
  const callable = namespace.functions.get(name)
  if (callable) return compileFunctionCall(callable, node, context)
  const full = `${(owner as { name: string }).name}.${name}`
  throw context.refusal(
    node,
    refusedMethods.get(full) ?? `There is no ${full}.${didYouMean(name, namespace.functions.keys())}`,
  )
}

function compileFunctionCall(callable: Callable, node: CallExpression, context: Context): Evaluate {
  context.unit.makesContainers = true
  const call = compileArguments(callable, node, context)
  return (run) => {
    run.spend(1)
    return call(run, callable, undefined)
  }
}

function compileMethodCall(callee: MemberExpression, name: string, node: CallExpression, context: Context): Evaluate {
  if (!methodNames.has(name)) {
    throw context.refusal(
      node,
      refusedMethods.get(name) ?? `There is no method .${name}.${didYouMean(name, methodNames)}`,
    )
  }
  context.unit.makesContainers = true
  const object = context.compile(callee.object)
  const call = compileArguments(arrayMethods.get(name) ?? null, node, context)
  const optional = isOptional(node)
  const place = context.place(callee)
  return (run) => {
    run.spend(1)
    const self = object(run)
    if (optional && (self === undefined || self === null)) return undefined
    const callable = methodsOf(self).get(name)
    if (!callable) throw located(missingMethod(name, self), place)
    return call(run, callable, self)
  }
}

const noMethods: Callables<never> = new Map()

function methodsOf(self: Value): Callables<never> {
  if (Array.isArray(self)) return arrayMethods
  switch (typeof self) {
    case 'string':
      return textMethods
    case 'number':
      return numberMethods
    case 'boolean':
      return booleanMethods
    default:
      return noMethods
  }
}

function missingMethod(name: string, self: Value): ExpressionError {
  const owners = [
    arrayMethods.has(name) && 'arrays',
    textMethods.has(name) && 'texts',
    numberMethods.has(name) && 'numbers',
  ]
  const remedy =
    self === undefined || self === null
      ? `; write ?.${name}(…) where it may be missing`
      : kindOf(self) === 'an object'
        ? '; see Object.keys, Object.values and Object.entries'
        : ''
  return new ExpressionError(
    `.${name} works on ${owners.filter(Boolean).join(' and ')}, not on ${kindOf(self)}${remedy}`,
  )
}

/** Whether a `?.` in the chain up to this call lets a missing value pass. */
function isOptional(node: CallExpression): boolean {
  for (let link: AnyNode = node; ; ) {
    if (link.type === 'CallExpression') {
      if (link.optional) return true
      link = link.callee
    } else if (link.type === 'MemberExpression') {
      if (link.optional) return true
      link = link.object
    } else return false
  }
}

/** Compiles the arguments. The callable is known now for functions; for methods it depends on what they are called on. */
function compileArguments(
  callable: Callable<never> | null,
  node: CallExpression,
  context: Context,
): (run: Run, callable: Callable<never>, self: unknown) => Value {
  const callbackAt = callable !== null && callable.kind !== 'plain' ? callable.at : -1
  const argument = node.arguments[callbackAt]
  const callback = argument && compileCallback(argument, node, context)
  if (callable?.kind === 'callback' && !callback) {
    throw context.refusal(node, `A function is missing as argument ${callbackAt + 1}: write item => …`)
  }
  const others = node.arguments.filter((_, index) => index !== callbackAt)
  const values = others.map((other) => {
    if (other.type === 'SpreadElement') return compileSpread(other.argument, context)
    const value = context.compile(other)
    return (run: Run, target: Value[]) => {
      target.push(value(run))
    }
  })
  const place = context.place(node)
  return (run, actual, self) => {
    const args: Value[] = []
    for (const append of values) append(run, args)
    try {
      return perform(actual as Callable, run, self, callback?.(run), args)
    } catch (error) {
      throw located(error, place)
    }
  }
}

function perform(callable: Callable, run: Run, self: unknown, callback: Callback | undefined, args: Value[]): Value {
  if (callable.kind === 'callback') return callable.perform(run, self, callback as Callback, args)
  if (callable.kind === 'optional callback') return callable.perform(run, self, callback, args)
  if (callback) throw new ExpressionError('This method takes no function here')
  return callable.perform(run, self, args)
}

/** An arrow function, or one of the language's own functions by name, as in filter(Boolean). */
function compileCallback(argument: AnyNode, node: CallExpression, context: Context): (run: Run) => Callback {
  const inner = withoutParentheses(argument)
  if (inner.type === 'ArrowFunctionExpression') return compileArrow(inner, context)
  const named =
    inner.type === 'Identifier' && !context.isShadowed(inner.name) ? globalFunctions.get(inner.name) : undefined
  if (named?.kind === 'plain') return (run) => (value) => named.perform(run, undefined, [value])
  throw context.refusal(node, 'A function is expected here: write item => …')
}

function compileArrow(arrow: ArrowFunctionExpression, context: Context): (run: Run) => Callback {
  if (arrow.async) throw context.refusal(arrow, 'Functions are never async here')
  if (arrow.body.type === 'BlockStatement') {
    throw context.refusal(arrow, 'A function is one expression, without { return … }; for an object write ({ … })')
  }
  if (arrow.params.length > 4) throw context.refusal(arrow, 'A function has four parameters at most')
  const inner = context.withParameters(namesOf(arrow.params, context))
  const binds = arrow.params.map((pattern) => compilePattern(pattern, inner))
  const body = inner.compile(arrow.body)
  const [first, second, third, fourth] = binds
  return (run) => (a, b, c, d) => {
    first?.(run, a)
    second?.(run, b)
    third?.(run, c)
    fourth?.(run, d)
    return body(run)
  }
}
