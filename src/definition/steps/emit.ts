import { Type } from 'typebox'
import type { JsonObject } from '../json.ts'
import type { StepPlanBase } from '../plan.ts'
import { stepFields, storedText } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

/** More receivers than this of one signal are a mistake of address. */
export const MOST_RECEIVERS = 100

export interface EmitPlan extends StepPlanBase {
  readonly type: 'emit'
  /** The signal's name. */
  readonly signal: Template
  /** null: `data` as it is here. */
  readonly payload: Template | null
  /** An object of what `addressedBy` names; a value that is missing when it is rendered widens nothing. */
  readonly to: Template
  readonly addressedBy: readonly string[]
  readonly onNobody: 'continue' | 'fail'
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('emit'),
    config: Type.Object(
      {
        signal: { ...storedText(200, 'Its name; templates allowed', 1), examples: ['order-paid'] },
        payload: Type.Optional(Type.Unknown({ description: 'Templates allowed; `data` by default' })),
        to: Type.Object(
          {
            executionId: Type.Optional(
              Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })], {
                description: 'This execution, or these; a template may give an id or a list of them',
                examples: ['{{ steps.child.output.executionId }}'],
              }),
            ),
            correlationId: Type.Optional(
              storedText(1_000, 'Every other execution that was started with it, sub-workflows too', 1),
            ),
            executionKey: Type.Optional(storedText(1_000, 'Every other execution that was started under it', 1)),
            workflow: Type.Optional(
              storedText(200, 'With correlationId or executionKey: only those of the workflow of this name', 1),
            ),
          },
          {
            additionalProperties: false,
            minProperties: 1,
            description: `Who gets it, of those that have not ended: at most ${MOST_RECEIVERS}. Templates allowed; what is named together must all hold`,
            examples: [{ workflow: 'order', executionKey: '{{ input.orderId }}' }],
          },
        ),
        onNobody: Type.Optional(
          Type.Enum(['continue', 'fail'], {
            type: 'string',
            default: 'continue',
            description: 'When there is no receiver: continue with `delivered` 0, or fail as NoReceiver',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'EmitStep',
    additionalProperties: false,
    title: 'Emit',
    description:
      'Sends a signal to other executions, each exactly once, for their `wait_for_signal`. `data` passes it by unchanged; its own output is {delivered}, how many live executions it went to. One that ends meanwhile takes it without effect, one that starts later does not get it',
  },
)

export const emitStep: StepLanguage<EmitPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { signal, payload, to, onNobody } = compiler.config
    const name = compiler.template(signal, ['signal'])
    const address = compiler.template(to, ['to'])
    if (name !== null) plan.signal = name
    if (address !== null) plan.to = address
    plan.payload = compiler.template(payload, ['payload'])
    plan.onNobody = onNobody === 'fail' ? 'fail' : 'continue'
    const { executionId, correlationId, executionKey, workflow } = (to ?? {}) as JsonObject
    plan.addressedBy = Object.keys((to ?? {}) as JsonObject)
    if (executionId !== undefined && plan.addressedBy.length > 1)
      compiler.faultAt(['to', 'executionId'], 'names the receivers by itself; leave the others out')
    if (workflow !== undefined && executionId === undefined && (correlationId ?? executionKey) === undefined)
      compiler.faultAt(['to', 'workflow'], 'only narrows; give correlationId or executionKey too')
  },
  isLeaf: () => true,
}
