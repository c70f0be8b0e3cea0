import { isFinished } from '../../src/engine/core/state.ts'
import type { Effect } from './effects.ts'
import type { Mirror } from './mirror.ts'
import type { Server } from './model/server.ts'

type Fault = (rule: string, what: string) => void

/** After so long every node that is well knows of a circuit, ms: see SharedCircuits. */
const KNOWN_AFTER_MS = 3_000

/** Watches what only one may do at a time: call a target whose circuit is open, have an executionKey. */
export class Exclusion {
  readonly #server: Server
  readonly #fault: Fault
  /** Calls by the probe that they were made for. */
  readonly #probes = new Set<string>()

  constructor(server: Server, fault: Fault) {
    this.#server = server
    this.#fault = fault
  }

  /** A call of a target, where all nodes are well. */
  called({ target, path, executionId }: Effect): void {
    const circuit = this.#server.tables.circuits.get(target ?? '')
    if (circuit === undefined || circuit.mode === 'closed') return
    const { now } = this.#server
    const what = `${target} by ${executionId.slice(-4)} ${path}`
    if (circuit.mode === 'open') {
      if (now - circuit.updatedAt > KNOWN_AFTER_MS) this.#fault('nobody calls what an operator has stopped', what)
      return
    }
    const { openedAt, probeId, probeUntil } = circuit
    if (openedAt === null || now - openedAt <= KNOWN_AFTER_MS) return
    if (probeId === null || probeUntil! <= now) return this.#fault('an open circuit lets probes through alone', what)
    if (this.#probes.has(probeId)) this.#fault('a probe is one call', what)
    this.#probes.add(probeId)
  }

  /** Of a key's executions one is live; those aside that a retry or a rollback has brought back. */
  committed(mirrors: ReadonlyMap<string, Mirror>): void {
    const live = new Map<string, string>()
    for (const { id, workflowId, executionKey, status } of this.#server.tables.executions.values()) {
      if (executionKey === null || isFinished(status)) continue
      const mirror = mirrors.get(id)
      if (mirror === undefined || mirror.retries > 0 || mirror.state.generation > 0) continue
      if (mirror.state.aftermath?.rollback !== undefined) continue
      const name = `${workflowId} ${executionKey}`
      const other = live.get(name)
      if (other !== undefined) this.#fault('of an executionKey one execution is live', `${name}: ${other}, ${id}`)
      live.set(name, id)
    }
  }
}
