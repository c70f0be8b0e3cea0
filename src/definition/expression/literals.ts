import type { Literal, TemplateLiteral } from 'acorn'
import type { Context, Evaluate } from './context.ts'
import { located } from './error.ts'
import { toText } from './value.ts'

export function compileLiteral(node: Literal, context: Context): Evaluate {
  if (node.regex) {
    throw context.refusal(
      node,
      'Regular expressions are not part of the language; use includes, startsWith, endsWith or split',
    )
  }
  const { value } = node
  if (typeof value === 'bigint')
    throw context.refusal(node, 'Big integers are not part of the language; write a number or a text')
  return (run) => {
    run.spend(1)
    return value as string | number | boolean | null
  }
}

export function compileTemplateLiteral(node: TemplateLiteral, context: Context): Evaluate {
  const texts = node.quasis.map((quasi) => quasi.value.cooked ?? '')
  const values = node.expressions.map((expression) => context.compile(expression))
  const place = context.place(node)
  return (run) => {
    let text = texts[0] ?? ''
    for (const [i, value] of values.entries()) {
      const result = value(run)
      try {
        const part = toText(result)
        const tail = texts[i + 1] ?? ''
        run.reserveText(text.length + part.length + tail.length)
        text += part + tail
      } catch (error) {
        throw located(error, place)
      }
    }
    run.spend(1)
    return text
  }
}
