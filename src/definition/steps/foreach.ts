import { Type } from 'typebox'
import type { StepCompiler } from '../compile/step-compiler.ts'
import type { SequentialPlan, StepPlanBase } from '../plan.ts'
import { compositeFields, LocalName, StepList, storedText } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import { compileJoin, type Join, joinFields, type Rest } from './join.ts'
import type { StepLanguage } from './step-language.ts'

export interface ForeachPlan extends StepPlanBase {
  readonly type: 'foreach'
  /** Null when pages give the items. */
  readonly items: Template | null
  /** Signals that add items while the step runs; after `end` came no more are added. Without `end`: when all have ended. */
  readonly grow: { readonly signal: string; readonly end: string | null } | null
  /** What gives the items a page at a time. */
  readonly page: SequentialPlan | null
  /** The name under which the steps inside see their item. */
  readonly as: string
  readonly body: SequentialPlan
  readonly concurrency: number
  /** How many items may fail before the step does: a number, or a share (0..1) of all. */
  readonly tolerate: { readonly count: number } | { readonly share: number }
  readonly collect: 'outputs' | 'errors' | 'none'
  /** When it is complete before all items have ended. */
  readonly join: Join
  readonly rest: Rest
}

const schema = Type.Object(
  {
    ...compositeFields('How long all items together may take'),
    type: Type.Literal('foreach'),
    config: Type.Object(
      {
        items: Type.Optional(
          Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.Unknown())], {
            description: 'The items: an array, templates allowed, or a template that gives one',
            examples: ['{{ steps.orders.output }}'],
          }),
        ),
        page: Type.Optional(
          StepList(
            'Instead of items: steps in order that fetch a page of them. Their output is {items, next}; with a `next` that is not null they run again when the items run out, and see it as `cursor`, which is null at first. Only the items of a page are held',
            { minItems: 1 },
          ),
        ),
        grow: Type.Optional(
          Type.Object(
            {
              signal: {
                ...storedText(200, 'Each signal of this name adds its payload as an item while the step runs', 1),
                examples: ['another-witness'],
              },
              end: Type.Optional(
                storedText(
                  200,
                  'The signal after which none is added; the step waits for it. Without it the step ends when all items have ended',
                  1,
                ),
              ),
            },
            { additionalProperties: false, description: 'Lets the list grow' },
          ),
        ),
        as: Type.Optional(LocalName('The name of an item', 'item')),
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
        ...joinFields('items'),
        collect: Type.Optional(
          Type.Enum(['outputs', 'errors', 'none'], {
            type: 'string',
            default: 'outputs',
            description:
              'What the output is: each item’s output in the order of the items (null where it failed, or had not ended when the join was reached), the list of failures {index, error}, or only the counts {total, completed, failed}',
          }),
        ),
      },
      { additionalProperties: false },
    ),
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
    const { items, page, as, concurrency, tolerate, collect } = compiler.config
    if (typeof items === 'string' && !items.includes('{{'))
      compiler.fault('items', 'is a text: write the expression that gives the list in {{ }}')
    if ((items === undefined) === (page === undefined))
      compiler.fault(
        'items',
        page === undefined ? 'is missing: give items, or a page that fetches them' : 'and page exclude each other',
      )
    plan.items = compiler.template(items, ['items'])
    plan.grow = growth(compiler)
    plan.as = typeof as === 'string' ? as : 'item'
    if (reserved.has(plan.as))
      compiler.fault('as', `"${plan.as}" means something else in every expression; choose another name`)
    plan.body = compiler.body(['steps'], { label: null, locals: [plan.as, 'index'] })
    plan.page = page === undefined ? null : compiler.body(['page'], { label: null, prefix: 'page', locals: ['cursor'] })
    if (typeof tolerate === 'string' && (plan.page ?? plan.grow) !== null)
      compiler.fault('tolerate', 'is a share of items whose number nobody knows yet: write a number')
    plan.concurrency = typeof concurrency === 'number' ? concurrency : 1
    plan.tolerate =
      typeof tolerate === 'string'
        ? { share: Number.parseFloat(tolerate) / 100 }
        : { count: typeof tolerate === 'number' ? tolerate : 0 }
    const count = Array.isArray(items) && plan.grow === null ? items.length : null
    Object.assign(plan, compileJoin(compiler, ['item', 'items'], count))
    plan.collect = (collect ?? 'outputs') as ForeachPlan['collect']
  },
  isLeaf: () => false,
}

function growth(compiler: StepCompiler): ForeachPlan['grow'] {
  const { grow, page } = compiler.config
  if (typeof grow !== 'object' || grow === null || Array.isArray(grow)) return null
  const { signal, end } = grow
  if (page !== undefined) compiler.fault('grow', 'is for items; a page fetches them until there is no next one')
  if (end === signal) compiler.faultAt(['grow', 'end'], 'is the signal that adds items; take another name')
  return { signal: String(signal), end: typeof end === 'string' ? end : null }
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
