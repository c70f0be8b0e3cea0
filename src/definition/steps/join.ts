import { Type } from 'typebox'
import type { StepCompiler } from '../compile/step-compiler.ts'
import type { Expression } from '../expression.ts'
import { ExpressionText } from '../schema-fields.ts'

/** So many must be completed, or a condition must hold; null: all must have ended. */
export type Join = number | Expression | null

/** What becomes of those that are left when a join is reached. */
export type Rest = 'cancel' | 'continue'

/** The two fields of config that say when a step goes on before all within it have ended, and what the others do then. */
export const joinFields = (ones: string) => ({
  join: Type.Optional(
    Type.Union(
      [
        Type.Enum(['all', 'any'], { type: 'string' }),
        Type.Integer({ minimum: 1 }),
        Type.Object(
          {
            when: ExpressionText(
              'Asked each time that one has ended: `data` is what the output would be, `arrived` has the numbers {completed, failed, total}.',
              ['arrived.completed > arrived.total / 2', "data.credit == 'refused'"],
            ),
          },
          { additionalProperties: false },
        ),
      ],
      {
        default: 'all',
        description: `How many ${ones} must be completed: all, any, a number of them, or as many as make a condition true. When all have ended and it is not reached, the step fails as JoinNotReached`,
      },
    ),
  ),
  rest: Type.Optional(
    Type.Enum(['cancel', 'continue'], {
      type: 'string',
      default: 'cancel',
      description: `What becomes of the other ${ones} when the join is reached: cancel ends them; continue lets them run on, and what becomes of them changes nothing of this step any more. The sequence around it (a list of steps: a branch, an iteration, the workflow) then goes on, and ends after they have`,
    }),
  ),
})

/** `count`: how many there will be, where that is known. */
export function compileJoin(
  compiler: StepCompiler,
  ones: readonly [string, string],
  count: number | null,
): { join: Join; rest: Rest } {
  const { join: given, rest } = compiler.config
  const isCondition = typeof given === 'object' && given !== null && !Array.isArray(given)
  const join = isCondition
    ? compiler.expressionAt(given.when, ['join', 'when'], ['arrived'])
    : given === 'any'
      ? 1
      : typeof given === 'number'
        ? given
        : null
  if (rest === 'continue' && join === null && !isCondition)
    compiler.fault('rest', 'has no meaning without a join: nothing is left when all have ended')
  if (typeof join === 'number' && count !== null && join > count && count > 0)
    compiler.fault('join', `${join} of ${count} ${ones[count === 1 ? 0 : 1]} can never be completed`)
  return { join, rest: rest === 'continue' ? 'continue' : 'cancel' }
}
