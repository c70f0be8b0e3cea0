import { Type } from 'typebox'
import type { StepPlanBase } from '../plan.ts'
import { durationMs, stepFields } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

export interface WaitPlan extends StepPlanBase {
  readonly type: 'wait'
  /** Milliseconds from its beginning, or a time (RFC 3339, or ms since 1970). */
  readonly kind: 'durationMs' | 'until'
  readonly value: Template
}

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('wait'),
    config: Type.Object(
      {
        durationMs: Type.Optional(
          Type.Union([durationMs('So long', { minimum: 0 }), Type.String({ minLength: 1 })], {
            description: 'How long, in milliseconds; a template may give it',
            examples: [60_000, '{{ input.delayMs }}'],
          }),
        ),
        until: Type.Optional(
          Type.String({
            minLength: 1,
            description: 'Until when: a time in RFC 3339, or a template that gives one or ms since 1970',
            examples: ['2027-01-01T00:00:00Z', '{{ steps.order.output.shipAt }}'],
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'WaitStep',
    additionalProperties: false,
    title: 'Wait',
    description: 'Lets time pass; `data` passes it by unchanged. An execution that waits takes no memory',
  },
)

export const waitStep: StepLanguage<WaitPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { durationMs, until } = compiler.config
    if ((durationMs === undefined) === (until === undefined))
      compiler.fault(durationMs === undefined ? 'durationMs' : 'until', 'A wait has either durationMs or until')
    plan.kind = durationMs === undefined ? 'until' : 'durationMs'
    if (typeof durationMs === 'string' && !durationMs.includes('{{'))
      compiler.fault('durationMs', 'is a text: write a number, or an expression in {{ }}')
    if (typeof until === 'string' && !until.includes('{{') && Number.isNaN(Date.parse(until)))
      compiler.fault('until', 'is no time: write it like 2027-01-01T00:00:00Z')
    const value = compiler.template(durationMs ?? until, [plan.kind])
    if (value !== null) plan.value = value
  },
  isLeaf: () => true,
}
