import type { JsonObject } from '../json.ts'
import { didYouMean } from '../nearest.ts'
import type { ActionPlan, ActionShape, RetryPolicy } from '../plan.ts'
import type { Mutable } from '../steps/step-language.ts'
import { compileTemplateInto, type TemplateFindings } from '../template.ts'
import { configFaults } from './action-config.ts'
import { breakerPolicyOf } from './breaker-policy.ts'
import type { Compilation, Draft } from './draft.ts'
import { compileRateLimit } from './rate-limit.ts'
import { compileRetryPolicy, noRetry } from './retry-policy.ts'
import type { StepCompiler } from './step-compiler.ts'

/** What an action step has beyond the others: its action's config, its policy, its delivery. */
export function compileAction(compiler: StepCompiler, plan: Mutable<ActionPlan>): void {
  const { step, config, draft, all } = compiler
  const { type: action, ...rest } = config
  plan.action = String(action)
  plan.delivery = step.delivery === 'at_most_once' ? 'at_most_once' : 'at_least_once'
  plan.retry = retryOf(step, draft, plan.delivery, all)
  plan.breaker = breakerPolicyOf(step)
  plan.rateLimit = compileRateLimit(step, draft, all)
  const shape = shapeOf(config, draft, all)
  const findings: TemplateFindings = { faults: [], references: [], usesSecrets: false }
  plan.config = compileTemplateInto(findings, rest, {
    names: all.names,
    locals: draft.locals,
    // Of an unknown action nobody knows; its name is fault enough.
    secretFields: shape?.secretFields ?? [''],
    literalFields: shape?.literalFields ?? [],
  })
  const pointer = draft.configPointer
  const conflicts = all.isStored ? [] : (shape?.conflicts?.(rest, plan.delivery) ?? [])
  const faults = shape ? [...findings.faults, ...configFaults(shape, rest), ...conflicts] : findings.faults
  for (const fault of faults) all.faults.push({ ...fault, pointer: pointer + fault.pointer })
  for (const { stepId, pointer: place } of findings.references)
    draft.references.push({ stepId, pointer: pointer + place })
}

function shapeOf({ type }: JsonObject, draft: Draft, all: Compilation): ActionShape | undefined {
  if (typeof type !== 'string') return undefined
  const shape = all.actions.get(type)
  if (!shape) {
    const known = [...all.actions.keys()]
    const message = `There is no action ${JSON.stringify(type)}; there are ${known.join(', ')}.${didYouMean(type, known)}`
    all.faults.push({ pointer: `${draft.configPointer}/type`, message })
  }
  return shape
}

/** The step's own policy, else the workflow's. A step that may be performed once has one attempt whatever the workflow says. */
function retryOf(step: JsonObject, draft: Draft, delivery: ActionPlan['delivery'], all: Compilation): RetryPolicy {
  const own = compileRetryPolicy(step, draft, all)
  if (delivery === 'at_least_once') return own ?? all.retryPolicy ?? noRetry
  if (own && own.maxAttempts !== 1) {
    const message = 'An at_most_once step has one attempt: set maxAttempts to 1, or leave retryPolicy out'
    all.faults.push({ pointer: `${draft.pointer}/retryPolicy`, message })
  }
  return noRetry
}
