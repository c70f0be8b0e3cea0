import { inDocumentOrder } from '../definition/compile/fault-order.ts'
import { type Compiled, compile, type Refused } from '../definition/compile.ts'
import type { ActionShape, Fault } from '../definition/plan.ts'
import type { Definition } from '../definition/schema.ts'
import { CairnError } from '../errors.ts'
import type { Store } from '../repository/store.ts'
import type { WorkflowVersion } from '../repository/workflow-versions.ts'
import type { NewVersion, Workflow } from '../repository/workflows.ts'
import type { Clock } from './clock.ts'
import { fingerprint } from './fingerprint.ts'
import { missingWorkflows } from './missing-workflows.ts'
import type { Plans } from './plans.ts'

export interface DefinitionsOptions {
  readonly store: Store
  readonly actions: ReadonlyMap<string, ActionShape>
  readonly plans: Plans
  readonly clock: Clock
}

/** Workflows and their versions: every write is checked by compiling it first. */
export class Definitions {
  readonly #options: DefinitionsOptions

  constructor(options: DefinitionsOptions) {
    this.#options = options
  }

  /** Every fault of a definition, in document order; empty when it is valid. */
  async faultsOf(definition: unknown): Promise<readonly Fault[]> {
    return this.#faultsIn(compile(definition, this.#options.actions), 'default')
  }

  /** Stores version 1. DEFINITION_INVALID, WORKFLOW_NAME_TAKEN, IDEMPOTENCY_KEY_REUSED. */
  async create(
    given: unknown,
    options: { readonly namespace: string; readonly idempotencyKey?: string | undefined },
  ): Promise<{ workflow: Workflow; replayed: boolean }> {
    const { store, clock, plans } = this.#options
    const { namespace, idempotencyKey } = options
    const { definition, plan } = await this.#compiled(given, namespace)
    const at = clock.now()
    const workflow = { id: clock.newId(), namespace, ...versionOf(definition, at) }
    plans.put(workflow.id, 1, plan)
    if (idempotencyKey === undefined) return { workflow: await store.insertWorkflow(workflow), replayed: false }
    const key = { namespace, route: 'POST workflows', key: idempotencyKey, requestHash: fingerprint(given), at }
    const { resourceId, replayed } = await store.insertWorkflowKeyed(key, workflow)
    const found = await store.findWorkflow(resourceId)
    if (found === null) throw new CairnError('WORKFLOW_NOT_FOUND', [resourceId])
    return { workflow: found, replayed }
  }

  /** Stores a new version and activates it. WORKFLOW_NOT_FOUND, WORKFLOW_ARCHIVED, DEFINITION_INVALID, VERSION_CONFLICT. */
  async update(workflowId: string, given: unknown, ifVersion: number | undefined): Promise<Workflow> {
    const { definition, plan } = await this.#compiled(given, 'default')
    const { store, clock, plans } = this.#options
    const workflow = await store.insertVersion(workflowId, versionOf(definition, clock.now()), { ifVersion })
    plans.put(workflowId, workflow.version, plan)
    plans.forget(workflowId)
    return workflow
  }

  async activate(workflowId: string, version: number): Promise<Workflow> {
    const { store, clock, plans } = this.#options
    const workflow = await store.activateVersion(workflowId, version, clock.now())
    plans.forget(workflowId)
    return workflow
  }

  async deprecate(workflowId: string, version: number): Promise<WorkflowVersion> {
    const { store, clock, plans } = this.#options
    const deprecated = await store.deprecateVersion(workflowId, version, clock.now())
    plans.forget(workflowId)
    return deprecated
  }

  async archive(workflowId: string): Promise<void> {
    const { store, clock, plans } = this.#options
    await store.archiveWorkflow(workflowId, clock.now())
    plans.forget(workflowId)
  }

  async #compiled(given: unknown, namespace: string): Promise<Compiled> {
    const result = compile(given, this.#options.actions)
    const faults = await this.#faultsIn(result, namespace)
    if ('faults' in result || faults.length > 0) throw new CairnError('DEFINITION_INVALID', [faults.length], { faults })
    return result
  }

  /** What the definition says wrong, and what it names that is not there, all at once. */
  async #faultsIn(result: Compiled | Refused, namespace: string): Promise<readonly Fault[]> {
    const name = 'faults' in result ? result.document.name : result.definition.name
    const missing = await missingWorkflows(result.subWorkflows, String(name), namespace, this.#options.store)
    if (!('faults' in result)) return missing
    return missing.length === 0 ? result.faults : inDocumentOrder(result.document, [...result.faults, ...missing])
  }
}

const versionOf = (definition: Definition, at: number): NewVersion => ({
  name: definition.name,
  description: definition.description ?? null,
  tags: definition.tags ?? [],
  definition,
  at,
})
