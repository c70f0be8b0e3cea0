import type { AnyNode } from 'acorn'
import { compileCall } from './calls.ts'
import { compileArray, compileObject } from './containers.ts'
import type { Context, Evaluate } from './context.ts'
import { compileLiteral, compileTemplateLiteral } from './literals.ts'
import { compileChain, compileMember } from './members.ts'
import { compileName } from './names.ts'
import { compileBinary, compileConditional, compileLogical, compileUnary } from './operators.ts'

/** Compiles a node to a closure. What is not on this list is not part of the language. */
export function compileNode(node: AnyNode, context: Context): Evaluate {
  switch (node.type) {
    case 'Literal':
      return compileLiteral(node, context)
    case 'TemplateLiteral':
      return compileTemplateLiteral(node, context)
    case 'Identifier':
      return compileName(node, context)
    case 'MemberExpression':
      return compileMember(node, context)
    case 'ChainExpression':
      return compileChain(node, context)
    case 'CallExpression':
      return compileCall(node, context)
    case 'ParenthesizedExpression':
      return context.compile(node.expression)
    case 'ArrayExpression':
      return compileArray(node, context)
    case 'ObjectExpression':
      return compileObject(node, context)
    case 'UnaryExpression':
      return compileUnary(node, context)
    case 'BinaryExpression':
      return compileBinary(node, context)
    case 'LogicalExpression':
      return compileLogical(node, context)
    case 'ConditionalExpression':
      return compileConditional(node, context)
    default:
      throw context.refusal(node, refusals[node.type] ?? `${node.type} is not part of the expression language`)
  }
}

const refusals: { readonly [type: string]: string } = {
  AssignmentExpression: 'Expressions change nothing; write === to compare',
  UpdateExpression: 'Expressions change nothing; write + 1 or - 1',
  ArrowFunctionExpression: 'A function may only stand as an argument of a method like map or filter',
  FunctionExpression: 'Write an arrow function: (item) => …',
  ClassExpression: 'Expressions have no classes',
  NewExpression: 'Expressions have no `new`; for dates write Date.parse(text) and Date.toISOString(milliseconds)',
  ThisExpression: 'Expressions have no `this`',
  Super: 'Expressions have no `super`',
  ImportExpression: 'Expressions import nothing',
  MetaProperty: 'Expressions have no import.meta and no new.target',
  AwaitExpression: 'Expressions wait for nothing; use a step',
  YieldExpression: 'Expressions have no `yield`',
  SequenceExpression: 'Write one expression; the comma operator is not part of the language',
  TaggedTemplateExpression: 'Tagged templates are not part of the language',
  SpreadElement: 'A spread stands in an array, an object or the arguments of a call',
  PrivateIdentifier: 'Private names are not part of the language',
}
