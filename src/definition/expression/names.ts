import type { AnyNode, Identifier, MemberExpression } from 'acorn'
import type { Context, Evaluate } from './context.ts'
import { ExpressionError, located } from './error.ts'
import { isFunctionName } from './functions.ts'
import type { Run } from './run.ts'
import type { Root } from './scope.ts'
import { isObject, type Value, type ValueObject } from './value.ts'

const roots: ReadonlySet<string> = new Set<Root>(['input', 'variables', 'data', 'execution'])
const constants: ReadonlyMap<string, Value> = new Map([
  ['undefined', undefined],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
])

const nowhere = Symbol('nowhere')

/** A bare name: arrow parameters, the place's own names, roots, variables, members of input, in this order. */
export function compileName(node: Identifier, context: Context): Evaluate {
  const { name } = node
  const fixed = compileFixedName(node, context)
  if (fixed) return fixed
  const { names } = context.unit.options
  if (names && !names.has(name)) throw context.refusal(node, unknownName(name))
  const place = context.place(node)
  return (run) => {
    const value = lookUp(run, name)
    if (value === nowhere) throw located(new ExpressionError(unknownName(name)), place)
    return value
  }
}

/** The same for typeof: a name that is nowhere is undefined. */
export function compileNameOrUndefined(node: Identifier, context: Context): Evaluate {
  const { name } = node
  const fixed = compileFixedName(node, context)
  if (fixed) return fixed
  return (run) => {
    const value = lookUp(run, name)
    return value === nowhere ? undefined : value
  }
}

function compileFixedName(node: Identifier, context: Context): Evaluate | undefined {
  const { name } = node
  const slot = context.slotOf(name)
  if (slot !== undefined) {
    return (run) => {
      run.spend(1)
      return run.slots[slot]
    }
  }
  if (context.isLocal(name)) {
    return (run) => {
      run.spend(1)
      return run.scope.local(name)
    }
  }
  if (roots.has(name)) {
    const root = name as Root
    return (run) => {
      run.spend(1)
      return run.scope.root(root)
    }
  }
  if (constants.has(name)) {
    const value = constants.get(name)
    return (run) => {
      run.spend(1)
      return value
    }
  }
  if (name === 'steps') throw context.refusal(node, "Name a step: steps.<id>.output or steps['<id>'].output")
  if (name === 'secrets') throw context.refusal(node, 'Name a secret: secrets.<NAME>')
  if (isFunctionName(name)) throw context.refusal(node, `${name} is a function and no value; call it`)
  return undefined
}

function lookUp(run: Run, name: string): Value | typeof nowhere {
  run.spend(1)
  const variables = run.scope.root('variables')
  if (isObject(variables) && Object.hasOwn(variables, name)) return (variables as ValueObject)[name]
  const input = run.scope.root('input')
  if (isObject(input) && !Array.isArray(input) && Object.hasOwn(input, name)) return (input as ValueObject)[name]
  return nowhere
}

const unknownName = (name: string): string =>
  `"${name}" is not known here: it is no root (input, variables, data, steps, execution), no variable and no member of the ` +
  `input; for a step's result write steps['${name}'].output, for a member that may be missing input.${name}`

/** `steps.<id>.output|status|error|meta` or `secrets.<NAME>`; undefined when the member is neither. */
export function compileReference(node: MemberExpression, context: Context): Evaluate | undefined {
  const root = withoutParentheses(node.object)
  if (root.type === 'Identifier' && root.name === 'secrets' && !context.isShadowed('secrets'))
    return compileSecret(node, context)
  if (root.type === 'Identifier' && root.name === 'steps' && !context.isShadowed('steps')) {
    throw context.refusal(node, incompleteStep(node, context))
  }
  if (root.type !== 'MemberExpression') return undefined
  const steps = withoutParentheses(root.object)
  if (steps.type !== 'Identifier' || steps.name !== 'steps' || context.isShadowed('steps')) return undefined
  return compileStepField(root, node, context)
}

function compileStepField(step: MemberExpression, node: MemberExpression, context: Context): Evaluate {
  const id = literalKey(step)
  if (id === undefined) throw context.refusal(step, "A step is named literally: steps.<id> or steps['<id>']")
  const field = literalKey(node)
  context.unit.stepIds.add(id)
  switch (field) {
    case 'status':
      return (run) => {
        run.spend(1)
        return run.scope.step(id)?.status ?? 'pending'
      }
    case 'output':
    case 'error':
    case 'meta':
      return (run) => {
        run.spend(1)
        return run.scope.step(id)?.[field]
      }
    default:
      throw context.refusal(
        node,
        `A step has output, status, error and meta; for a part of its output write ${stepText(id)}.output`,
      )
  }
}

function compileSecret(node: MemberExpression, context: Context): Evaluate {
  const name = literalKey(node)
  if (name === undefined) throw context.refusal(node, 'A secret is named literally: secrets.<NAME>')
  if (!context.unit.options.secretsAllowed) {
    throw context.refusal(
      node,
      'Secrets may be used only in fields that the action declares secret, such as headers and auth',
    )
  }
  context.unit.usesSecrets = true
  const place = context.place(node)
  return (run) => {
    run.spend(1)
    try {
      return run.scope.secret(name)
    } catch (error) {
      throw located(error, place)
    }
  }
}

/** `steps.a` alone; `steps.a-b` looks like it, being a subtraction. */
function incompleteStep(node: MemberExpression, context: Context): string {
  const id = literalKey(node)
  if (id === undefined) return "A step is named literally: steps.<id> or steps['<id>']"
  const dashed = node.computed ? null : /^(?:-[A-Za-z0-9_]+)+/.exec(context.unit.text.slice(node.end))
  if (dashed) return `steps.${id}${dashed[0]} is a subtraction to JavaScript: write steps['${id}${dashed[0]}']`
  return `Say what of the step is meant: ${stepText(id)}.output, .status, .error or .meta`
}

const stepText = (id: string): string => (/^[A-Za-z_]\w*$/.test(id) ? `steps.${id}` : `steps['${id}']`)

/** The member's name when it stands there literally. */
function literalKey(node: MemberExpression): string | undefined {
  const { property } = node
  if (!node.computed) return property.type === 'Identifier' ? property.name : undefined
  const key = withoutParentheses(property)
  return key.type === 'Literal' && typeof key.value === 'string' ? key.value : undefined
}

export function withoutParentheses(node: AnyNode): AnyNode {
  let inner = node
  while (inner.type === 'ParenthesizedExpression') inner = inner.expression
  return inner
}
