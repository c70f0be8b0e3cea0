import { Type } from 'typebox'
import type { StepPlanBase } from '../plan.ts'
import { Compensate, Concurrency, durationMs, stepFields, storedText } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepLanguage } from './step-language.ts'

/** What becomes of a child when its parent ends. */
export type ParentClosePolicy = 'cancel' | 'abandon' | 'wait'

export interface SubWorkflowPlan extends StepPlanBase {
  readonly type: 'sub_workflow'
  /** Its name, among the active workflows of the namespace. */
  readonly workflow: string
  /** null: the one that is active when the child starts. */
  readonly version: number | null
  /** null: `data` as it is here. */
  readonly input: Template | null
  readonly mode: 'wait' | 'fire_and_forget'
  readonly parentClosePolicy: ParentClosePolicy
  /** Where its config stands in the definition: whether there is such a workflow only the database knows. */
  readonly pointer: string
}

const schema = Type.Object(
  {
    ...stepFields,
    compensate: Type.Optional(Compensate),
    concurrency: Type.Optional(Concurrency('Instances of the step')),
    timeoutMs: Type.Optional(durationMs('How long the child may take; then parentClosePolicy is for it')),
    type: Type.Literal('sub_workflow'),
    config: Type.Object(
      {
        workflow: {
          ...storedText(
            200,
            'The name of the workflow to run; its own name is allowed. Of two that run each other, create the first without the step, then the second, then give the first its step as a new version',
            1,
          ),
          examples: ['billing'],
        },
        version: Type.Optional(
          Type.Integer({
            minimum: 1,
            description: 'The version to run; the active one when the child starts by default',
          }),
        ),
        input: Type.Optional(Type.Unknown({ description: "The child's input, templates allowed; `data` by default" })),
        mode: Type.Optional(
          Type.Enum(['wait', 'fire_and_forget'], {
            type: 'string',
            default: 'wait',
            description:
              "wait is completed with the child's output, or fails with its error; fire_and_forget is completed with {executionId} as soon as the child has started",
          }),
        ),
        parentClosePolicy: Type.Optional(
          Type.Enum(['cancel', 'abandon', 'wait'], {
            type: 'string',
            description:
              'What becomes of the child when its parent ends or goes on without it: cancel (the default of mode wait), abandon (the default of fire_and_forget) or, with fire_and_forget, wait: the parent is completed only when the child has ended; when it fails or is cancelled the child is cancelled',
          }),
        ),
      },
      { additionalProperties: false },
    ),
  },
  {
    $id: 'SubWorkflowStep',
    additionalProperties: false,
    title: 'Sub-workflow',
    description:
      'Starts another workflow as an execution of its own, exactly once. Pause, resume and cancel reach it; a parent that waits takes no memory',
  },
)

export const subWorkflowStep: StepLanguage<SubWorkflowPlan> = {
  schema,
  format: 2,
  compile(compiler, plan) {
    const { workflow, version, input, mode, parentClosePolicy } = compiler.config
    plan.workflow = String(workflow)
    plan.version = typeof version === 'number' ? version : null
    plan.input = compiler.template(input, ['input'])
    plan.mode = mode === 'fire_and_forget' ? mode : 'wait'
    plan.parentClosePolicy = (parentClosePolicy ?? (plan.mode === 'wait' ? 'cancel' : 'abandon')) as ParentClosePolicy
    plan.pointer = compiler.pointerTo('').slice(0, -1)
    // A name that is none is refused with the step's other fields.
    if (typeof workflow === 'string' && workflow !== '') compiler.all.subWorkflows.push(plan)
    if (plan.mode === 'wait' && parentClosePolicy === 'wait')
      compiler.fault(
        'parentClosePolicy',
        'wait is for fire_and_forget: a step that waits goes on when its child has ended',
      )
  },
  isLeaf: () => true,
}
