import { type Static, Type } from 'typebox'
import { languageOf, stepTypes } from './language.ts'
import {
  Concurrency,
  durationMs,
  priorityBounds,
  RetryPolicy,
  RetryPolicyReference,
  type Step,
  StepList,
  storedText,
} from './schema-fields.ts'

const stepSchemas = stepTypes.map((type) => languageOf(type).schema)

const StepDefinition = Type.Unsafe<Step>({
  $id: 'StepDefinition',
  description: 'One step; `type` says of which kind',
  oneOf: stepSchemas.map((schema) => ({ $ref: `${Reflect.get(schema, '$id')}#` })),
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
    retryPolicy: Type.Optional(RetryPolicyReference),
    concurrency: Type.Optional(Concurrency('Executions of the workflow')),
    priority: Type.Optional(
      Type.Integer({
        ...priorityBounds,
        default: 0,
        description:
          'Of executions whose start names none: higher ones are taken up first, and go first in lines for slots; a step of priority is worth a minute of waiting. A sub-workflow has the priority of its parent',
        examples: [5],
      }),
    ),
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
    steps: StepList('Steps in order', { minItems: 1 }),
    onFailure: Type.Optional(
      StepList(
        'Steps in order that run when the execution fails, after the compensations; they see the failure as `error`. Then the execution is failed with it',
        { minItems: 1 },
      ),
    ),
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
export const definitionSchemas = [Definition, StepDefinition, ...stepSchemas, RetryPolicy]

export type Definition = Static<typeof Definition>
