import { ExpressionError, type Scope } from '../../definition/expression.ts'
import type { Json, JsonObject } from '../../definition/json.ts'
import type { Plan } from '../../definition/plan.ts'
import { localOf } from './aftermath.ts'
import { dataOf, outputOf, pathOf, resolve, statusOf } from './data.ts'
import { type ExecutionState, labelOf, parentPath, type StepState } from './state.ts'
import { behaviourOf } from './steps/behaviour.ts'
import { planOf } from './turn.ts'

/** What expressions see as `execution`, beside when it started: what never changes. Whatever else it has, they do not see. */
export type ExecutionInfo = Readonly<Record<'id' | 'workflowId' | 'correlationId' | 'triggeredBy', Json>>

export interface SecretValues {
  /** undefined: there is none of that name. */
  get(name: string): string | undefined
}

const noSecrets: SecretValues = new Map()

/** The names that an expression sees at a step, or at the end of the root (`step` null). Values are looked up when read. */
export class StepScope implements Scope {
  readonly #plan: Plan
  readonly #state: ExecutionState
  readonly #step: StepState | null
  readonly #info: ExecutionInfo
  readonly #secrets: SecretValues

  constructor(
    plan: Plan,
    state: ExecutionState,
    step: StepState | null,
    info: ExecutionInfo,
    secrets: SecretValues = noSecrets,
  ) {
    this.#plan = plan
    this.#state = state
    this.#step = step
    this.#info = info
    this.#secrets = secrets
  }

  root(name: 'input' | 'variables' | 'data' | 'execution'): Json {
    if (name === 'input') return this.#state.input
    if (name === 'variables') return this.#state.variables
    if (name === 'execution') {
      const { id, workflowId, correlationId, triggeredBy } = this.#info
      return { id, workflowId, correlationId, triggeredBy, startedAt: timeText(this.#state.startedAt) }
    }
    if (this.#step !== null) return dataOf(this.#plan, this.#state, this.#step)
    const root = this.#state.steps.get('')
    return resolve(this.#plan, this.#state, root?.frame?.type === 'sequence' ? root.frame.data : '')
  }

  step(id: string): { status: string; output?: Json; error?: Json; meta?: Json } | undefined {
    if (!this.#plan.steps.has(id)) return undefined
    const step = this.#state.steps.get(pathOf(this.#plan, id, this.#step?.path ?? ''))
    const output = outputOf(this.#plan, this.#state, step)
    return {
      status: statusOf(this.#plan, this.#state, id, this.#step?.path ?? ''),
      ...(output !== undefined && { output }),
      ...(step?.error !== undefined && { error: step.error as unknown as Json }),
      ...(step?.meta !== undefined && { meta: step.meta }),
    }
  }

  /** The nearest one: of the bodies that the step stands in, the innermost that has the name. */
  local(name: string): Json | undefined {
    if (this.#step === null) return undefined
    let plan = planOf(this.#plan, this.#step)
    for (let path = this.#step.path; plan.parent !== null; path = parentPath(path), plan = plan.parent) {
      if (plan.type !== 'sequential' || !plan.body?.locals.includes(name)) continue
      const owner = this.#state.steps.get(parentPath(path))!
      if (plan.body.isAftermath) return localOf(this.#plan, this.#state, owner, name)
      return behaviourOf(plan.parent).local!(plan.parent, owner, labelOf(path), name)
    }
    return undefined
  }

  hasLocal(name: string): boolean {
    return this.local(name) !== undefined
  }

  secret(name: string): string {
    const value = this.#secrets.get(name)
    if (value === undefined)
      throw new ExpressionError(`secrets.${name} is not set: give CAIRN_SECRET_${name} to the service`)
    return value
  }
}

/** The same place with another `data`, or with names that only a decision of its own step sees. */
export const narrowed = (scope: Scope, { data, locals }: { data?: Json; locals: JsonObject }): Scope => ({
  root: (name) => (name === 'data' && data !== undefined ? data : scope.root(name)),
  step: (id) => scope.step(id),
  local: (name) => (Object.hasOwn(locals, name) ? locals[name] : scope.local(name)),
  hasLocal: (name) => Object.hasOwn(locals, name) || scope.hasLocal(name),
  secret: (name) => scope.secret(name),
})

const timeText = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString())
