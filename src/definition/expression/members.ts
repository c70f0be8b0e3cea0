import type { ChainExpression, MemberExpression } from 'acorn'
import { didYouMean } from '../nearest.ts'
import type { Context, Evaluate } from './context.ts'
import { located } from './error.ts'
import { namespaces } from './functions.ts'
import { compileReference, withoutParentheses } from './names.ts'
import { member, toKey, type Value } from './value.ts'

/** Names that lead to prototypes and constructors in JavaScript. They are out of reach anyway; naming them is a mistake. */
const unreachable = new Set(['__proto__', 'constructor', 'prototype', '__defineGetter__', '__lookupGetter__'])

/**
 * Member access. A missing member is undefined, and so is any member of undefined and null: `a.b.c` is what `a?.b?.c` is,
 * which is why the optional form needs nothing of its own here.
 */
export function compileMember(node: MemberExpression, context: Context): Evaluate {
  const reference = compileReference(node, context)
  if (reference) return reference
  const { property } = node
  if (node.computed) return compileComputed(node, context)
  if (property.type !== 'Identifier') throw context.refusal(node, 'Private names are not part of the language')
  const { name } = property
  const owner = withoutParentheses(node.object)
  if (owner.type === 'Identifier' && namespaces.has(owner.name) && !context.isShadowed(owner.name)) {
    return compileConstant(owner.name, name, node, context)
  }
  if (unreachable.has(name)) {
    throw context.refusal(node, `.${name} cannot be reached; for a field of that name in your data write ['${name}']`)
  }
  const object = context.compile(node.object)
  return (run) => {
    run.spend(1)
    return member(object(run), name)
  }
}

function compileComputed(node: MemberExpression, context: Context): Evaluate {
  const object = context.compile(node.object)
  const key = context.compile(node.property)
  const place = context.place(node)
  return (run) => {
    run.spend(1)
    const value = object(run)
    const name = key(run)
    try {
      return member(value, paidKey(run, name))
    } catch (error) {
      throw located(error, place)
    }
  }
}

/** Looking up a long text means hashing it. */
function paidKey(run: Parameters<Evaluate>[0], name: Value): string | number {
  const key = toKey(name)
  if (typeof key === 'string') run.spend(key.length >> 4)
  return key
}

export function compileChain(node: ChainExpression, context: Context): Evaluate {
  return context.compile(node.expression)
}

/** `Math.PI` and its like. */
function compileConstant(namespace: string, name: string, node: MemberExpression, context: Context): Evaluate {
  const { functions, constants } = namespaces.get(namespace) as NonNullable<ReturnType<typeof namespaces.get>>
  const constant = constants.get(name)
  if (constant !== undefined) {
    return (run) => {
      run.spend(1)
      return constant
    }
  }
  if (functions.has(name)) throw context.refusal(node, `${namespace}.${name} is a function and no value; call it`)
  throw context.refusal(
    node,
    `There is no ${namespace}.${name}.${didYouMean(name, [...constants.keys(), ...functions.keys()])}`,
  )
}
