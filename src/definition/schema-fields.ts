import { type Static, Type } from 'typebox'
import { LONGEST_PERIOD_MS, MOST_CALLS } from './rate-limit.ts'
import { onLimits } from './slot.ts'
import { storedPattern } from './stored-text.ts'

// The fields that the schemas of the language are made of. Descriptions show in OpenAPI and in the messages of faults.

/** Ten years: longer durations are a mistake of unit. */
const MAX_DURATION_MS = 10 * 365 * 24 * 3600 * 1000

export const durationMs = (
  description: string,
  options: { minimum?: number; default?: number; examples?: number[] } = {},
) => Type.Integer({ minimum: 1, maximum: MAX_DURATION_MS, ...options, description })

/** How urgent an execution can be; see docs/adr/0036. */
export const priorityBounds = { minimum: -1000, maximum: 1000 } as const

/** Text that ends in a text column. */
export const storedText = (maxLength: number, description: string, minLength = 0) =>
  Type.String({ minLength, maxLength, pattern: storedPattern, description })

/** The key of an object that is made by plain assignment: this one would become its prototype. */
const notPrototype = { not: { const: '__proto__' } }

/** The id of a step, or a name that stands in paths like one. */
export const Id = (description: string) =>
  Type.String({
    pattern: '^[A-Za-z_][A-Za-z0-9_-]{0,63}$',
    ...notPrototype,
    description: `${description}: a letter or _, then up to 63 letters, digits, _ or -`,
    examples: ['fetch-data'],
  })

/** The name that steps within see something under. */
export const LocalName = (description: string, byDefault: string) =>
  Type.String({
    pattern: '^[A-Za-z_][A-Za-z0-9_]{0,63}$',
    ...notPrototype,
    description: `${description}: a letter or _, then letters, digits or _`,
    default: byDefault,
  })

export const ExpressionText = (description: string, examples: string[]) =>
  Type.String({ minLength: 1, description: `${description} A bare expression, without {{ }}`, examples })

export const ErrorTypes = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
    maxItems: 100,
    description,
    examples: [['TimeoutError', 'Http5xx']],
  })

export const RetryPolicy = Type.Object(
  {
    maxAttempts: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000_000, default: 5, description: 'Attempts in all, the first included' }),
    ),
    initialIntervalMs: Type.Optional(durationMs('Wait before the second attempt', { minimum: 0, default: 500 })),
    backoffCoefficient: Type.Optional(
      Type.Number({
        minimum: 1,
        maximum: 100,
        default: 2,
        description: 'What each wait is multiplied by for the next',
      }),
    ),
    maxIntervalMs: Type.Optional(durationMs('Longest wait between two attempts', { minimum: 0, default: 60_000 })),
    jitter: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.2,
        description: 'Share of a wait that chance may add or take: 0.2 is ±20 %',
      }),
    ),
    maxElapsedMs: Type.Optional(
      Type.Union([durationMs('Budget from the first attempt on'), Type.Null()], {
        default: 600_000,
        description: 'Budget from the first attempt on, attempts and waits together; null is unbounded',
      }),
    ),
    retryOn: Type.Optional(
      ErrorTypes('Error types that are retried; by default those that the error itself calls retryable'),
    ),
    nonRetryable: Type.Optional(ErrorTypes('Error types that are never retried')),
    when: Type.Optional(
      ExpressionText(
        'Whether a failed attempt is repeated; it sees `error` and `attempt`. It decides in place of the error itself, and only about types that the lists let through.',
        ['error.details.status == 404 && attempt < 3', "error.details.sqlstate == '23505'"],
      ),
    ),
  },
  {
    $id: 'RetryPolicy',
    additionalProperties: false,
    description:
      'When a failed attempt is repeated. Fields left out take their defaults; without a policy there is one attempt',
  },
)

export type RetryPolicy = Static<typeof RetryPolicy>

export const RetryPolicyReference = Type.Unsafe<RetryPolicy>({ $ref: 'RetryPolicy#' })

/** The circuit breaker of an action's target: defaults hold for steps without one too. */
export const CircuitBreaker = Type.Object(
  {
    key: Type.Optional(
      storedText(200, 'Shared by all steps that name it, instead of the host, data source or agent that is called', 1),
    ),
    failureThreshold: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        default: 5,
        description: 'So many failures within windowMs open it, when they are at least half of all calls',
      }),
    ),
    windowMs: Type.Optional(durationMs('How long a failure counts', { default: 60_000 })),
    openMs: Type.Optional(
      durationMs(
        'How long it stays open before one call probes it; doubled by each probe that fails, up to 5 minutes',
        {
          default: 30_000,
        },
      ),
    ),
    onOpen: Type.Optional(
      Type.Enum(['park', 'fail'], {
        type: 'string',
        default: 'park',
        description: 'park: the step waits until it is worth a try, and no attempt is used up. fail: CircuitOpenError',
      }),
    ),
  },
  {
    additionalProperties: false,
    description: 'When calls of the target stop for a while, and what the step does then',
  },
)

export type CircuitBreaker = Static<typeof CircuitBreaker>

/** How many of the same key may be under way at once, in the whole cluster. */
export const Concurrency = (what: string) =>
  Type.Object(
    {
      key: Type.Optional(
        Type.String({
          maxLength: 1_000,
          description: `${what} with the same key share the limit; templates allowed. At most 200 characters once rendered; all have the same key by default`,
          examples: ['{{ input.customerId }}'],
        }),
      ),
      limit: Type.Optional(
        Type.Union([Type.Integer({ minimum: 1, maximum: 10_000 }), Type.String({ minLength: 1, maxLength: 1_000 })], {
          default: 1,
          description:
            'How many may hold the key at once, a number or a template; of several limits for one key the newest counts',
          examples: [1, 10],
        }),
      ),
      onLimit: Type.Optional(
        Type.Enum([...onLimits], {
          type: 'string',
          default: 'queue',
          description:
            'When the key is taken: queue waits, by priority, then age; reject fails with ConcurrencyLimit, and the start of an execution is answered with 409; cancel_running cancels the executions that hold or wait for it, the oldest first, and takes their place; cancel_new cancels the execution that asks',
        }),
      ),
      waitTimeoutMs: Type.Optional(
        durationMs(
          'How long it waits for the key before it fails with ConcurrencyTimeout; for as long as it takes by default',
          {
            examples: [600_000],
          },
        ),
      ),
      scope: Type.Optional(
        storedText(100, 'A name of the namespace: definitions that give the same one share the keys in it', 1),
      ),
    },
    { additionalProperties: false, description: 'How many may be under way at once in the whole cluster' },
  )

export type Concurrency = Static<ReturnType<typeof Concurrency>>

/** How many calls of the same key may begin in a time, in the whole cluster. */
export const RateLimit = Type.Object(
  {
    key: Type.Optional(
      Type.String({
        maxLength: 1_000,
        description:
          'Calls with the same key share the limit; templates allowed. At most 200 characters once rendered; all have the same key by default',
        examples: ['{{ input.customerId }}'],
      }),
    ),
    limit: Type.Union(
      [Type.Integer({ minimum: 1, maximum: MOST_CALLS }), Type.String({ minLength: 1, maxLength: 1_000 })],
      {
        description:
          'How many calls may begin within periodMs, evenly spread: a number or a template; of several limits for one key the newest counts',
        examples: [100, 5],
      },
    ),
    periodMs: Type.Integer({
      minimum: 1,
      maximum: LONGEST_PERIOD_MS,
      description: 'The time that `limit` is for, 31 days at most',
      examples: [60_000],
    }),
    burst: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: MOST_CALLS,
        default: 1,
        description: 'How many may begin at once when there were none for a while',
      }),
    ),
    scope: Type.Optional(
      storedText(100, 'A name of the namespace: definitions that give the same one share the keys in it', 1),
    ),
  },
  {
    additionalProperties: false,
    description:
      'How many calls may begin in a time in the whole cluster; who comes too early waits, and uses no attempt up',
  },
)

export type RateLimit = Static<typeof RateLimit>

/** One step as it stands in a definition; what its `config` holds is its type's matter. */
export interface Step {
  id: string
  name?: string
  type: string
  config: { [key: string]: unknown }
  [key: string]: unknown
}

/** Steps within steps; the schema is registered under its $id, so that it can refer to itself. */
export const StepList = (description: string, options: { minItems?: number } = {}) =>
  Type.Array(Type.Unsafe<Step>({ $ref: 'StepDefinition#' }), { ...options, description })

/** What a step of any type may have. */
export const stepFields = {
  id: Id('Unique in the whole definition'),
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'For people; the id by default' })),
  when: Type.Optional(
    ExpressionText('The step is skipped unless this is true.', ['input.notify', 'steps.check.output === true']),
  ),
  dependencies: Type.Optional(
    Type.Array(Id('An id'), {
      uniqueItems: true,
      description: 'Ids of steps that must be completed before: siblings in a parallel, steps before it in a sequence',
      examples: [['fetch-data']],
    }),
  ),
}

/** What takes back what a step has done. */
export const Compensate = Type.Unsafe<{ type: string; [field: string]: unknown } | Step[]>({
  description:
    'Takes back what the step has done, when it was completed and the execution fails, or a rollback with "compensate" undoes it: the config of one action, or steps. They see the step as `completed.data`, `.output` and `.meta`, its output as `data`, and the failure as `error` (null at a rollback)',
  anyOf: [
    {
      type: 'object',
      properties: { type: { type: 'string', minLength: 1 } },
      required: ['type'],
      additionalProperties: true,
      description: 'The config of one action; it has the retryPolicy of an action step, and its timeoutMs',
    },
    StepList('Steps in order', { minItems: 1 }),
  ],
})

/** What a step that has steps within may have beside. */
export const compositeFields = (timeout: string) => ({
  ...stepFields,
  output: Type.Optional(
    Type.Unknown({
      description:
        'Instead of the output that the step has by itself, templates allowed: `data` is that output, and the steps within can be read, except those of a loop. Evaluated when the step is about to be completed',
      examples: ['{{ data.north.price + data.south.price }}', { total: '{{ steps.sum.output }}' }],
    }),
  ),
  compensate: Type.Optional(Compensate),
  timeoutMs: Type.Optional(durationMs(timeout)),
})
