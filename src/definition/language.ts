import type { StepPlan } from './plan.ts'
import { action } from './steps/action.ts'
import { approvalStep } from './steps/approval.ts'
import { completeStep } from './steps/complete.ts'
import { condition } from './steps/condition.ts'
import { criticalSectionStep } from './steps/critical-section.ts'
import { emitStep } from './steps/emit.ts'
import { failStep } from './steps/fail.ts'
import { foreachStep } from './steps/foreach.ts'
import { parallel } from './steps/parallel.ts'
import { raceStep } from './steps/race.ts'
import { sequential } from './steps/sequential.ts'
import { setStep } from './steps/set.ts'
import type { StepLanguage } from './steps/step-language.ts'
import { subWorkflowStep } from './steps/sub-workflow.ts'
import { switchStep } from './steps/switch.ts'
import { tryStep } from './steps/try.ts'
import { waitStep } from './steps/wait.ts'
import { waitForSignalStep } from './steps/wait-for-signal.ts'
import { untilStep, whileStep } from './steps/while.ts'

/** Every type of step: its name in a definition, and what the language knows of it. */
const languages = {
  action,
  condition,
  parallel,
  sequential,
  switch: switchStep,
  race: raceStep,
  while: whileStep,
  until: untilStep,
  foreach: foreachStep,
  try: tryStep,
  set: setStep,
  fail: failStep,
  complete: completeStep,
  wait: waitStep,
  wait_for_signal: waitForSignalStep,
  approval: approvalStep,
  sub_workflow: subWorkflowStep,
  emit: emitStep,
  critical_section: criticalSectionStep,
}

export type StepType = keyof typeof languages

export const stepTypes = Object.keys(languages) as readonly StepType[]

export const isStepType = (type: unknown): type is StepType =>
  typeof type === 'string' && Object.hasOwn(languages, type)

export const languageOf = (type: StepType): StepLanguage => languages[type] as unknown as StepLanguage

/** Leaves are counted, make checkpoints, and are what progress shows as the current step. */
export const isLeaf = (plan: StepPlan): boolean => languageOf(plan.type).isLeaf(plan)

/** The format that brought slots. */
export const SLOT_FORMAT = 2

/** The oldest format that knows what the step needs. */
export function formatOf(plan: StepPlan): number {
  if (plan.outcome !== null || plan.compensation !== null) return 2
  const { format } = languageOf(plan.type)
  const own = typeof format === 'number' ? format : format(plan)
  return plan.slot === null ? own : Math.max(own, SLOT_FORMAT)
}
