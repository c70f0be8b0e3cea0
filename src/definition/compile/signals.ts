import type { Plan } from '../plan.ts'
import type { Draft } from './draft.ts'

/** What keeps a signal from ever being taken: every step that takes its name has a schema, and it fits none of them. */
export function signalFaultsOf(drafts: Iterable<Draft>): Plan['signalFaults'] {
  const schemas = new Map<string, Plan['inputFaults'][]>()
  const open = new Set<string>()
  for (const { plan } of drafts) {
    if (plan.type === 'foreach') for (const name of [plan.grow?.signal, plan.grow?.end]) if (name) open.add(name)
    if (plan.type !== 'wait_for_signal') continue
    if (plan.payloadFaults === null) open.add(plan.signal)
    else schemas.set(plan.signal, [...(schemas.get(plan.signal) ?? []), plan.payloadFaults])
  }
  return (name, payload) => {
    if (open.has(name)) return []
    const faults = (schemas.get(name) ?? []).map((faultsOf) => faultsOf(payload))
    return faults.some((found) => found.length === 0) ? [] : (faults[0] ?? [])
  }
}
