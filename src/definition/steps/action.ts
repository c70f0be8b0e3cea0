import { Type } from 'typebox'
import { compileAction } from '../compile/action.ts'
import type { BreakerPolicy, RetryPolicy, StepPlanBase } from '../plan.ts'
import type { RateLimitPlan } from '../rate-limit.ts'
import {
  CircuitBreaker,
  Compensate,
  Concurrency,
  durationMs,
  RateLimit,
  RetryPolicyReference,
  stepFields,
} from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface ActionPlan extends StepPlanBase {
  readonly type: 'action'
  /** The action's registered name, `config.type`. */
  readonly action: string
  /** `config` without `type`, its strings compiled. */
  readonly config: Template
  readonly retry: RetryPolicy
  readonly breaker: BreakerPolicy
  /** Asked right before each call; null: there is none. */
  readonly rateLimit: RateLimitPlan | null
  readonly delivery: 'at_least_once' | 'at_most_once'
}

const schema = Type.Object(
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
    retryPolicy: Type.Optional(RetryPolicyReference),
    circuitBreaker: Type.Optional(CircuitBreaker),
    concurrency: Type.Optional(Concurrency('Instances of the step')),
    rateLimit: Type.Optional(RateLimit),
    compensate: Type.Optional(Compensate),
  },
  { $id: 'ActionStep', additionalProperties: false, title: 'Action', description: 'Does something to the world' },
)

export const action: StepLanguage<ActionPlan> = {
  schema,
  // An action without a config, which is refused, has no policy either.
  format: ({ retry, rateLimit }) => (retry?.when || rateLimit ? 2 : 1),
  compile: compileAction,
  isLeaf: () => true,
}
