import { pointerTo } from '../definition/json-pointer.ts'
import type { Fault, SubWorkflowPlan } from '../definition/plan.ts'
import type { Store } from '../repository/store.ts'

type Known = Pick<Store, 'findWorkflowNamed' | 'findVersion'>

/**
 * The sub-workflows of a definition that cannot be started as the database stands, in document order. Its `own` name is always
 * allowed: it exists once this is stored, and a recursion is bounded by its depth.
 */
export async function missingWorkflows(
  subWorkflows: readonly SubWorkflowPlan[],
  own: string,
  namespace: string,
  store: Known,
): Promise<Fault[]> {
  const faults: Fault[] = []
  // A definition may name the same workflow in thousands of steps.
  const asked = new Map<string, Fault | null>()
  for (const step of subWorkflows) {
    if (step.workflow === own) continue
    const key = JSON.stringify([step.workflow, step.version])
    const known = asked.get(key)
    const fault = known === undefined ? await faultOf(step, namespace, store) : known
    asked.set(key, fault)
    if (fault !== null) faults.push({ ...fault, pointer: pointerTo(step.pointer, fault.pointer) })
  }
  return faults
}

/** `pointer` is the field of the step's config. */
async function faultOf({ workflow, version }: SubWorkflowPlan, namespace: string, store: Known): Promise<Fault | null> {
  const found = await store.findWorkflowNamed(namespace, workflow)
  if (found === null) {
    const message = `there is no active workflow named "${workflow}"; create it first`
    return { pointer: 'workflow', message }
  }
  if (version === null) return null
  const stored = await store.findVersion(found.id, version)
  if (stored !== null && stored.status !== 'deprecated') return null
  const what = stored === null ? 'has no such version' : 'has deprecated it'
  return { pointer: 'version', message: `"${workflow}" ${what}: ${version}` }
}
