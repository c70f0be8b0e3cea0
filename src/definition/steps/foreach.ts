import { Type } from 'typebox'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { durationMs, StepList, stepFields } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface ForeachPlan extends StepPlanBase {
  readonly type: 'foreach'
  readonly items: Template
  /** The name under which the steps inside see their item. */
  readonly as: string
  readonly body: SequentialPlan
  readonly concurrency: number
  /** How many items may fail before the step does: a number, or a share (0..1) of all. */
  readonly tolerate: { readonly count: number } | { readonly share: number }
  readonly collect: 'outputs' | 'errors' | 'none'
}

const Name = Type.String({
  pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$',
  description: 'The name of an item: a letter or _, then letters, digits or _',
  default: 'item',
})

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('foreach'),
    config: Type.Object(
      {
        items: Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.Unknown())], {
          description: 'The items: an array, templates allowed, or a template that gives one',
          examples: ['{{ steps.orders.output }}'],
        }),
        as: Type.Optional(Name),
        steps: StepList('Steps in order, for each item; `index` is its position, from 0', { minItems: 1 }),
        concurrency: Type.Optional(
          Type.Integer({ minimum: 1, maximum: 10_000, default: 1, description: 'How many items at once' }),
        ),
        tolerate: Type.Optional(
          Type.Union(
            [
              Type.Integer({ minimum: 0, description: 'So many items may fail' }),
              Type.String({ pattern: '^(100|[1-9]?[0-9])(\\.[0-9]+)?%$', description: 'Such a share of them' }),
            ],
            { default: 0, description: 'How many items may fail, as a number or as a share like "10%"' },
          ),
        ),
        collect: Type.Optional(
          Type.Enum(['outputs', 'errors', 'none'], {
            type: 'string',
            default: 'outputs',
            description:
              'What the output is: each item’s output in the order of the items (null where it failed), the list of failures {index, error}, or only the counts {total, completed, failed}',
          }),
        ),
      },
      { additionalProperties: false },
    ),
    timeoutMs: Type.Optional(durationMs('How long all items together may take')),
  },
  {
    $id: 'ForeachStep',
    additionalProperties: false,
    title: 'Foreach',
    description: 'Runs its steps for each item of a list, some at once',
  },
)

export const foreachStep: StepLanguage<ForeachPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { items, as, concurrency, tolerate, collect } = compiler.config
    if (typeof items === 'string' && !items.includes('{{'))
      compiler.fault('items', 'is a text: write the expression that gives the list in {{ }}')
    const template = compiler.template(items, ['items'])
    if (template !== null) plan.items = template
    plan.as = typeof as === 'string' ? as : 'item'
    if (reserved.has(plan.as))
      compiler.fault('as', `"${plan.as}" means something else in every expression; choose another name`)
    plan.body = compiler.body(['steps'], { label: null, locals: [plan.as, 'index'] })
    plan.concurrency = typeof concurrency === 'number' ? concurrency : 1
    plan.tolerate =
      typeof tolerate === 'string'
        ? { share: Number.parseFloat(tolerate) / 100 }
        : { count: typeof tolerate === 'number' ? tolerate : 0 }
    plan.collect = (collect ?? 'outputs') as ForeachPlan['collect']
  },
  isLeaf: () => false,
}

/** Names that every expression knows. */
const reserved: ReadonlySet<string> = new Set([
  'input',
  'variables',
  'data',
  'steps',
  'execution',
  'secrets',
  'index',
  'error',
  'undefined',
  'NaN',
  'Infinity',
])
