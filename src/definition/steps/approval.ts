import { Type } from 'typebox'
import { compileMoment, type Moment, momentFields } from '../compile/moment.ts'
import type { StepCompiler } from '../compile/step-compiler.ts'
import type { Json, JsonObject } from '../json.ts'
import type { Plan, SequentialPlan, StepPlanBase } from '../plan.ts'
import { StepList, stepFields, storedText } from '../schema-fields.ts'
import { storedPattern } from '../stored-text.ts'
import { isTemplate, type Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

/** What becomes of an approval that nobody has decided in time, once the steps of `onDeadline` have ended. */
export type DeadlineOutcome = 'wait' | 'approve' | 'reject' | 'fail'

export interface ApprovalPlan extends StepPlanBase {
  readonly type: 'approval'
  /** Who is asked, and for what: {title, description, assignees, groups}. */
  readonly request: Template
  /** What the data of a decision must fit; null: anything does. */
  readonly form: Json
  readonly formFaults: Plan['inputFaults'] | null
  readonly deadline: Moment | null
  readonly afterDeadline: DeadlineOutcome
  /** What runs when the deadline passes, while the approval stays open. */
  readonly escalation: SequentialPlan | null
  readonly onReject: 'complete' | 'fail'
}

/** What an approval may hold, in characters, once its templates are filled in. */
export const LONGEST = { title: 1_000, description: 10_000, person: 200 } as const

const People = (description: string, examples: unknown[]) =>
  Type.Union([Type.Array(storedText(1000, 'One of them', 1), { maxItems: 100 }), Type.String({ minLength: 1 })], {
    description: `${description}: texts, templates allowed, or one template that gives a list`,
    examples,
  })

const schema = Type.Object(
  {
    ...stepFields,
    type: Type.Literal('approval'),
    config: Type.Object(
      {
        title: Type.String({
          minLength: 1,
          pattern: storedPattern,
          description: 'What is to be decided, in a line; a template may give it',
          examples: ['Refund {{ input.amount }} EUR for order {{ input.orderId }}?'],
        }),
        description: Type.Optional(
          Type.String({
            minLength: 1,
            pattern: storedPattern,
            description: 'What people need to know to decide; a template may give it',
          }),
        ),
        assignees: Type.Optional(People('Who is asked', [['ada@example.org'], '{{ input.approvers }}'])),
        groups: Type.Optional(People('Whose members are asked', [['finance']])),
        form: Type.Optional(
          Type.Unsafe<object | boolean>({
            type: ['object', 'boolean'],
            description:
              "JSON Schema 2020-12 that the decision's `data` must fit. A rejection without data fits every form",
          }),
        ),
        deadline: Type.Optional(
          Type.Object(momentFields, {
            additionalProperties: false,
            description: 'When somebody should have decided; for ever when left out',
          }),
        ),
        onDeadline: Type.Optional(
          Type.Object(
            {
              outcome: Type.Optional(
                Type.Enum(['wait', 'approve', 'reject', 'fail'], {
                  type: 'string',
                  default: 'fail',
                  description:
                    'After its steps: fail fails as TimeoutError; approve and reject decide, without data; wait goes on waiting',
                }),
              ),
              steps: Type.Optional(
                StepList(
                  'Steps in order that run when the deadline passes; the approval can be decided meanwhile, which ends them. They see its id as `approval.id`',
                  { minItems: 1 },
                ),
              ),
            },
            { additionalProperties: false, description: 'What happens when nobody has decided by then' },
          ),
        ),
        onReject: Type.Optional(
          Type.Enum(['complete', 'fail'], {
            type: 'string',
            default: 'complete',
            description: 'complete goes on with the decision "rejected" in the output; fail fails as ApprovalRejected',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'ApprovalStep',
    additionalProperties: false,
    title: 'Approval',
    description:
      'Waits until somebody decides: it is listed at GET /api/approvals and decided by POST /api/approvals/{approvalId}. The output is {decision: "approved" or "rejected", data, by, comment, decidedAt}. An execution that waits takes no memory',
  },
)

export const approvalStep: StepLanguage<ApprovalPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { title, description, assignees = [], groups = [], form, deadline, onDeadline, onReject } = compiler.config
    for (const [field, people] of Object.entries({ assignees, groups }))
      if (typeof people === 'string' && !people.includes('{{'))
        compiler.fault(field, 'is a text: write a list, or the expression that gives one in {{ }}')
    checkLength(compiler, ['title'], title, LONGEST.title)
    checkLength(compiler, ['description'], description, LONGEST.description)
    for (const [field, people] of Object.entries({ assignees, groups }))
      if (Array.isArray(people))
        for (const [index, one] of people.entries()) checkLength(compiler, [field, index], one, LONGEST.person)
    // The places of faults are those of config: each is rendered where it stands.
    plan.request = compiler.template({ title, description, assignees, groups } as JsonObject, [])!
    plan.form = form ?? null
    plan.formFaults = compiler.valueFaults('form')
    plan.deadline = isObject(deadline) ? compileMoment(compiler, deadline, ['deadline'], 'A deadline') : null
    if (onDeadline !== undefined && deadline === undefined)
      compiler.fault('onDeadline', 'is for an approval with a deadline; leave it out, or set one')
    const { outcome, steps } = isObject(onDeadline) ? onDeadline : {}
    plan.afterDeadline = (outcome ?? 'fail') as DeadlineOutcome
    plan.escalation =
      steps === undefined ? null : compiler.body(['onDeadline', 'steps'], { label: 'onDeadline', locals: ['approval'] })
    if (plan.afterDeadline === 'wait' && plan.escalation === null && deadline !== undefined)
      compiler.faultAt(['onDeadline', 'steps'], 'is missing: a deadline after which it only waits on does nothing')
    plan.onReject = onReject === 'fail' ? 'fail' : 'complete'
  },
  isLeaf: () => true,
}

/** A text that is no template is as long as it will ever be. */
function checkLength(
  compiler: StepCompiler,
  place: readonly (string | number)[],
  text: Json | undefined,
  longest: number,
): void {
  if (compiler.all.isStored) return
  if (typeof text === 'string' && text.length > longest && !isTemplate(text))
    compiler.faultAt(place, `must have at most ${longest} characters`)
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
