import { LRUCache } from 'lru-cache'
import { compile } from '../definition/compile.ts'
import type { ActionShape, Plan } from '../definition/plan.ts'
import { CairnError } from '../errors.ts'
import type { Store } from '../repository/store.ts'
import type { Workflow } from '../repository/workflows.ts'
import { type Clock, timedBy } from './clock.ts'

export interface PlansOptions {
  readonly store: Pick<Store, 'findVersion' | 'findWorkflow' | 'findWorkflowNamed'>
  readonly actions: ReadonlyMap<string, ActionShape>
  readonly clock: Clock
  /** How many plans are kept; the least recently used go first. */
  readonly max?: number
}

/** A start need not ask the database for its workflow; a change made on another node is seen after this time (ms). */
const KNOWN_FOR_MS = 1_000

/** Compiled definitions, one for each version of a workflow, shared by all its executions. A version never changes. */
export class Plans {
  readonly #options: PlansOptions
  readonly #plans: LRUCache<string, Plan>
  readonly #compiling = new Map<string, Promise<Plan>>()
  readonly #finding = new Map<string, Promise<Workflow | null>>()
  readonly #workflows: LRUCache<string, Workflow>
  readonly #startable: LRUCache<string, true>
  /** Ids of workflows by namespace and name. */
  readonly #named: LRUCache<string, string>
  /** Raised when all is forgotten: what was being read then must not be kept. */
  #generation = 0

  constructor(options: PlansOptions) {
    this.#options = options
    this.#plans = new LRUCache({ max: options.max ?? 1_000 })
    this.#workflows = new LRUCache({ max: 1_000, ttl: KNOWN_FOR_MS, ...timedBy(options.clock) })
    this.#named = new LRUCache({ max: 1_000, ttl: KNOWN_FOR_MS, ...timedBy(options.clock) })
    this.#startable = new LRUCache({ max: 1_000, ttl: KNOWN_FOR_MS, ...timedBy(options.clock) })
  }

  /**
   * What a start runs: the version that it names, or the active one. WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED,
   * VERSION_NOT_FOUND, VERSION_DEPRECATED.
   */
  async forStart(workflowId: string, named: number | undefined): Promise<{ version: number; plan: Plan }> {
    const workflow = this.#workflows.get(workflowId) ?? (await this.#find(workflowId))
    if (workflow === null) throw new CairnError('WORKFLOW_NOT_FOUND', [workflowId])
    if (workflow.status === 'archived') throw new CairnError('WORKFLOW_ARCHIVED', [workflowId])
    const version = named ?? workflow.version
    if (version !== workflow.version) await this.#checkStartable(workflowId, version)
    return { version, plan: this.peek(workflowId, version) ?? (await this.get(workflowId, version)) }
  }

  /** The same for the active workflow of that name. WORKFLOW_NOT_FOUND when there is none, and as `forStart`. */
  async forStartNamed(
    namespace: string,
    name: string,
    version: number | undefined,
  ): Promise<{ workflowId: string; version: number; plan: Plan }> {
    const key = `${namespace}/${name}`
    const workflowId = this.#named.get(key) ?? (await this.#options.store.findWorkflowNamed(namespace, name))?.id
    if (workflowId === undefined) throw new CairnError('WORKFLOW_NOT_FOUND', [`"${name}"`])
    this.#named.set(key, workflowId)
    return { workflowId, ...(await this.forStart(workflowId, version)) }
  }

  /** Forgets everything: after a failover a version may be gone, and its number somebody else's. */
  clear(): void {
    this.#generation += 1
    this.#plans.clear()
    this.#compiling.clear()
    this.#finding.clear()
    this.#workflows.clear()
    this.#startable.clear()
    this.#named.clear()
  }

  /** A workflow was changed on this node: what is known of it is asked for again. */
  forget(workflowId: string): void {
    this.#finding.delete(workflowId)
    this.#workflows.delete(workflowId)
    this.#named.clear()
    this.#startable.clear()
  }

  /** Starts that come while it is being read wait for the same answer. One that was asked for before a change is not kept. */
  #find(workflowId: string): Promise<Workflow | null> {
    const underWay = this.#finding.get(workflowId)
    if (underWay !== undefined) return underWay
    const finding = this.#options.store.findWorkflow(workflowId).then((workflow) => {
      const isCurrent = this.#finding.get(workflowId) === finding
      if (isCurrent && workflow?.status === 'active') this.#workflows.set(workflowId, workflow)
      return workflow
    })
    this.#finding.set(workflowId, finding)
    const over = (): void => {
      if (this.#finding.get(workflowId) === finding) this.#finding.delete(workflowId)
    }
    finding.then(over, over)
    return finding
  }

  async #checkStartable(workflowId: string, version: number): Promise<void> {
    const key = keyOf(workflowId, version)
    if (this.#startable.has(key)) return
    const stored = await this.#options.store.findVersion(workflowId, version)
    if (stored === null) throw new CairnError('VERSION_NOT_FOUND', [workflowId, version])
    if (stored.status === 'deprecated') throw new CairnError('VERSION_DEPRECATED', [version, workflowId])
    this.#startable.set(key, true)
  }

  /** The plan if it is at hand: the way of an execution that starts. */
  peek(workflowId: string, version: number): Plan | undefined {
    return this.#plans.get(keyOf(workflowId, version))
  }

  /** Keeps a plan that was compiled elsewhere, when its version was stored. */
  put(workflowId: string, version: number, plan: Plan): void {
    this.#plans.set(keyOf(workflowId, version), plan)
  }

  /**
   * The plan of a version, compiled when it is not at hand; who asks meanwhile waits for the same. VERSION_NOT_FOUND;
   * DEFINITION_INVALID when this release (its actions) cannot compile what an earlier one stored.
   */
  get(workflowId: string, version: number): Promise<Plan> {
    const key = keyOf(workflowId, version)
    const plan = this.#plans.get(key)
    if (plan !== undefined) return Promise.resolve(plan)
    const compiling = this.#compiling.get(key) ?? this.#load(workflowId, version)
    this.#compiling.set(key, compiling)
    return compiling
  }

  async #load(workflowId: string, version: number): Promise<Plan> {
    const key = keyOf(workflowId, version)
    const generation = this.#generation
    try {
      const stored = await this.#options.store.findVersion(workflowId, version)
      if (stored === null) throw new CairnError('VERSION_NOT_FOUND', [workflowId, version])
      const result = compile(stored.definition, this.#options.actions, { isStored: true })
      if ('faults' in result) {
        throw new CairnError('DEFINITION_INVALID', [result.faults.length], { faults: result.faults })
      }
      if (generation === this.#generation) this.#plans.set(key, result.plan)
      return result.plan
    } finally {
      if (generation === this.#generation) this.#compiling.delete(key)
    }
  }
}

const keyOf = (workflowId: string, version: number): string => `${workflowId}/${version}`
