import { type Static, Type } from 'typebox'
import { durationMs, ExpressionText, RetryPolicy, stepFields, storedText } from './schema-fields.ts'

/** The types of steps. */
export const stepTypes = ['action', 'condition', 'parallel', 'sequential'] as const

/** Steps within steps; the schema is registered under its $id, so that it can refer to itself. */
const Steps = (description: string, options: { minItems?: number } = {}) =>
  Type.Array(Type.Unsafe<Step>({ $ref: 'StepDefinition#' }), { ...options, description })

export const ActionStep = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('action'),
    config: Type.Object(
      {
        type: Type.String({
          minLength: 1,
          description: 'The action',
          examples: ['http_request', 'database_query', 'ai_agent_call', 'echo'],
        }),
      },
      { additionalProperties: true, description: "The action's own fields; any text may hold {{ expression }}" },
    ),
    timeoutMs: Type.Optional(durationMs('How long one attempt may take', { examples: [30_000] })),
    delivery: Type.Optional(
      Type.Enum(['at_least_once', 'at_most_once'], {
        type: 'string',
        default: 'at_least_once',
        description:
          'at_most_once: never repeated, not even after a crash in the middle, which then fails as StepInterrupted',
      }),
    ),
    retryPolicy: Type.Optional(Type.Unsafe<RetryPolicy>({ $ref: 'RetryPolicy#' })),
  },
  { $id: 'ActionStep', additionalProperties: false, title: 'Action', description: 'Does something to the world' },
)

export const ConditionStep = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('condition'),
    config: Type.Object(
      {
        condition: ExpressionText('What is asked.', ['data.length > 0']),
        then: Type.Optional(Steps('Steps in order when it is true')),
        else: Type.Optional(Steps('Steps in order when it is false')),
        onFalse: Type.Optional(
          Type.Enum(['skip_rest', 'continue', 'fail'], {
            type: 'string',
            default: 'skip_rest',
            description:
              'Without branches: what happens when it is false. skip_rest ends the nearest sequential well, continue goes on, fail fails',
          }),
        ),
      },
      { additionalProperties: false },
    ),
    timeoutMs: Type.Optional(durationMs('How long the step may take, its branch included')),
  },
  {
    $id: 'ConditionStep',
    additionalProperties: false,
    title: 'Condition',
    description: 'Takes one of two branches, or is a gate without them',
  },
)

export const ParallelStep = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('parallel'),
    config: Type.Object(
      {
        steps: Steps('Steps that run at once, or when the siblings that they depend on are completed', { minItems: 1 }),
        concurrency: Type.Optional(
          Type.Integer({ minimum: 1, description: 'How many may run at once; all by default' }),
        ),
      },
      { additionalProperties: false },
    ),
    timeoutMs: Type.Optional(durationMs('How long the whole step may take')),
  },
  {
    $id: 'ParallelStep',
    additionalProperties: false,
    title: 'Parallel',
    description: 'Runs steps at once; dependencies make it a graph',
  },
)

export const SequentialStep = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('sequential'),
    config: Type.Object({ steps: Steps('Steps in order', { minItems: 1 }) }, { additionalProperties: false }),
    timeoutMs: Type.Optional(durationMs('How long the whole step may take')),
  },
  {
    $id: 'SequentialStep',
    additionalProperties: false,
    title: 'Sequential',
    description: 'Runs steps one after another',
  },
)

const StepDefinition = Type.Unsafe<Step>({
  $id: 'StepDefinition',
  description: 'One step; `type` says of which kind',
  oneOf: ['ActionStep', 'ConditionStep', 'ParallelStep', 'SequentialStep'].map((name) => ({ $ref: `${name}#` })),
})

export const Definition = Type.Object(
  {
    name: storedText(200, 'Unique among the active workflows of a namespace', 1),
    description: Type.Optional(storedText(10_000, 'For people')),
    version: Type.Optional(Type.Integer({ description: 'Taken and ignored: the service counts versions' })),
    tags: Type.Optional(
      Type.Array(storedText(100, 'A tag', 1), { maxItems: 50, uniqueItems: true, description: 'For finding it' }),
    ),
    inputSchema: Type.Optional(
      Type.Unsafe<object | boolean>({
        type: ['object', 'boolean'],
        description: 'JSON Schema 2020-12 that every input must fit',
      }),
    ),
    variables: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), {
        description: 'Constants that expressions read by name; taken as they are',
      }),
    ),
    timeoutMs: Type.Optional(
      durationMs('How long an execution may take, pauses not counted', { examples: [3_600_000] }),
    ),
    retryPolicy: Type.Optional(Type.Unsafe<RetryPolicy>({ $ref: 'RetryPolicy#' })),
    checkpoints: Type.Optional(
      Type.Object(
        {
          keep: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 1000, default: 10, description: 'How many can be rolled back to' }),
          ),
          compact: Type.Optional(
            Type.Boolean({
              default: false,
              description:
                'Whether events that no kept checkpoint needs are removed while an execution runs; reading them answers 410',
            }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    retention: Type.Optional(
      Type.Object(
        {
          days: Type.Union([Type.Number({ minimum: 0.01, maximum: 36_500 }), Type.Null()], {
            description:
              'Days, fractions allowed, after which a finished execution is removed, counted from its last event; null keeps all',
            examples: [30],
          }),
        },
        {
          additionalProperties: false,
          description:
            'How long finished executions are kept; CAIRN_RETENTION_DAYS without it. The active version speaks for the executions of all versions',
        },
      ),
    ),
    output: Type.Optional(
      Type.Unknown({
        description: "The execution's output, templates allowed; by default the `data` at the end",
        examples: ['{{ steps.load.output }}'],
      }),
    ),
    steps: Steps('Steps in order', { minItems: 1 }),
  },
  {
    $id: 'Definition',
    additionalProperties: false,
    description: 'A workflow as data',
    examples: [
      {
        name: 'Data Processing Pipeline',
        description: 'Process and validate incoming data',
        version: 1,
        steps: [
          {
            id: 'fetch-data',
            name: 'Fetch Data',
            type: 'action',
            config: { type: 'http_request', url: 'https://api.example.com/data' },
          },
          { id: 'validate-data', name: 'Validate Data', type: 'condition', config: { condition: 'data.length > 0' } },
          {
            id: 'process-data',
            name: 'Process Data',
            type: 'action',
            config: { type: 'ai_agent_call', agent: 'data-processor' },
          },
        ],
      },
    ],
  },
)

/** Every schema of the language, each with an $id that the others refer to. */
export const definitionSchemas = [
  Definition,
  StepDefinition,
  ActionStep,
  ConditionStep,
  ParallelStep,
  SequentialStep,
  RetryPolicy,
]

interface StepFields {
  id: string
  name?: string
  when?: string
  dependencies?: string[]
  timeoutMs?: number
}
// Written out, since a schema that refers to itself by its $id has no inferable type.
export interface ConditionStep extends StepFields {
  type: 'condition'
  config: { condition: string; then?: Step[]; else?: Step[]; onFalse?: 'skip_rest' | 'continue' | 'fail' }
}
export interface ParallelStep extends StepFields {
  type: 'parallel'
  config: { steps: Step[]; concurrency?: number }
}
export interface SequentialStep extends StepFields {
  type: 'sequential'
  config: { steps: Step[] }
}
export type ActionStep = Static<typeof ActionStep>
export type Step = ActionStep | ConditionStep | ParallelStep | SequentialStep
export type Definition = Static<typeof Definition>
