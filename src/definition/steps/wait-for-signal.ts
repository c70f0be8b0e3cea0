import { Type } from 'typebox'
import type { Expression } from '../expression.ts'
import type { Plan, StepPlanBase } from '../plan.ts'
import { durationMs, ExpressionText, stepFields, storedText } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface WaitForSignalPlan extends StepPlanBase {
  readonly type: 'wait_for_signal'
  readonly signal: string
  /** Whether a signal of that name is the one; it sees it as `signal {name, payload}`. */
  readonly correlation: Expression | null
  /** What keeps a payload from being the one; null: any will do. */
  readonly payloadFaults: Plan['inputFaults'] | null
  /** How long it waits at most, in milliseconds; null: for ever. */
  readonly patience: Template | null
  readonly onTimeout: 'fail' | 'continue'
  /** What came before it began is not for it. */
  readonly transient: boolean
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('wait_for_signal'),
    config: Type.Object(
      {
        signal: { ...storedText(200, 'Its name', 1), examples: ['payment-received'] },
        correlation: Type.Optional(
          ExpressionText('Whether it is the one that is waited for; it sees `signal.payload`.', [
            'signal.payload.orderId == input.orderId',
          ]),
        ),
        schema: Type.Optional(
          Type.Unsafe<object | boolean>({
            type: ['object', 'boolean'],
            description:
              'JSON Schema 2020-12 that the payload must fit. A signal that fits the schema of no step that waits for its name is refused when it is sent',
            examples: [{ type: 'object', required: ['orderId'] }],
          }),
        ),
        transient: Type.Optional(
          Type.Boolean({
            default: false,
            description:
              'Whether only a signal counts that comes while the step waits; an earlier one stays for others',
          }),
        ),
        timeoutMs: Type.Optional(
          Type.Union([durationMs('So long'), Type.String({ minLength: 1 })], {
            description: 'How long it waits at most, in milliseconds; a template may give it',
            examples: [86_400_000, '{{ input.patienceMs }}'],
          }),
        ),
        onTimeout: Type.Optional(
          Type.Enum(['fail', 'continue'], {
            type: 'string',
            default: 'fail',
            description: 'fail fails as TimeoutError; continue goes on with the output null',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'WaitForSignalStep',
    additionalProperties: false,
    title: 'Wait for a signal',
    description:
      'Takes the oldest signal of that name, also one that came before, unless it is transient; its payload is the output. An execution that waits takes no memory',
  },
)

export const waitForSignalStep: StepLanguage<WaitForSignalPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { signal, timeoutMs, onTimeout, transient } = compiler.config
    plan.signal = String(signal)
    plan.correlation = compiler.expression('correlation', ['signal'])
    plan.payloadFaults = compiler.valueFaults('schema')
    if (typeof timeoutMs === 'string' && !timeoutMs.includes('{{'))
      compiler.fault('timeoutMs', 'is a text: write a number, or an expression in {{ }}')
    plan.patience = compiler.template(timeoutMs, ['timeoutMs'])
    plan.onTimeout = onTimeout === 'continue' ? 'continue' : 'fail'
    plan.transient = transient === true
    if (timeoutMs === undefined && onTimeout !== undefined)
      compiler.fault('onTimeout', 'is for a wait with timeoutMs; leave it out, or set one')
  },
  isLeaf: () => true,
}
