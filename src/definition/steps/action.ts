import { Type } from 'typebox'
import { compileAction } from '../compile/action.ts'
import type { BreakerPolicy, RetryPolicy, SequentialPlan, StepPlanBase } from '../plan.ts'
import { CircuitBreaker, durationMs, RetryPolicyReference, type Step, StepList, stepFields } from '../schema-fields.ts'
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
  readonly delivery: 'at_least_once' | 'at_most_once'
  /** What takes back what it has done; null: nothing need be. */
  readonly compensation: SequentialPlan | null
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
    compensate: Type.Optional(
      Type.Unsafe<{ type: string; [field: string]: unknown } | Step[]>({
        description:
          'Takes back what the step has done, when it was completed and the execution fails, or a rollback with "compensate" undoes it: the config of one action, or steps. They see the step as `completed.data`, `.output` and `.meta`, its output as `data`, and the failure as `error` (null at a rollback)',
        anyOf: [
          {
            type: 'object',
            properties: { type: { type: 'string', minLength: 1 } },
            required: ['type'],
            additionalProperties: true,
            description: 'The config of one action; it has the timeoutMs and the retryPolicy of the step',
          },
          StepList('Steps in order', { minItems: 1 }),
        ],
      }),
    ),
  },
  { $id: 'ActionStep', additionalProperties: false, title: 'Action', description: 'Does something to the world' },
)

export const action: StepLanguage<ActionPlan> = {
  schema,
  format: ({ compensation, retry }) => (compensation === null && retry.when === null ? 1 : 2),
  compile: compileAction,
  isLeaf: () => true,
}
