import type { StepPlan } from './plan.ts'
import { action } from './steps/action.ts'
import { condition } from './steps/condition.ts'
import { parallel } from './steps/parallel.ts'
import { sequential } from './steps/sequential.ts'
import type { StepLanguage } from './steps/step-language.ts'

/** Every type of step: its name in a definition, and what the language knows of it. */
const languages = { action, condition, parallel, sequential }

export type StepType = keyof typeof languages

export const stepTypes = Object.keys(languages) as readonly StepType[]

export const isStepType = (type: unknown): type is StepType =>
  typeof type === 'string' && Object.hasOwn(languages, type)

export const languageOf = (type: StepType): StepLanguage => languages[type] as unknown as StepLanguage

/** Leaves are counted, make checkpoints, and are what progress shows as the current step. */
export const isLeaf = (plan: StepPlan): boolean => languageOf(plan.type).isLeaf(plan)
