/**
 * What the subscribers of other nodes watch: ids of executions and of workflows, and the nodes that said so. A node must say
 * it again from time to time; of what nobody watches there is nothing here, so asking costs one look-up.
 */
export class Watchers {
  /** Id → node → the time (of the monotonic clock, ms) until which it counts. */
  readonly #nodes = new Map<string, Map<string, number>>()

  /** True when that node did not watch it before. */
  add(id: string, node: string, until: number): boolean {
    let nodes = this.#nodes.get(id)
    if (nodes === undefined) {
      nodes = new Map()
      this.#nodes.set(id, nodes)
    }
    const isNew = !nodes.has(node)
    nodes.set(node, until)
    return isNew
  }

  remove(id: string, node: string): void {
    const nodes = this.#nodes.get(id)
    if (nodes?.delete(node) && nodes.size === 0) this.#nodes.delete(id)
  }

  /** The nodes that watch it; undefined when none does. */
  of(id: string): Iterable<string> | undefined {
    return this.#nodes.get(id)?.keys()
  }

  /** Forgets whoever has been silent. */
  expire(now: number): void {
    for (const [id, nodes] of this.#nodes) {
      for (const [node, until] of nodes) if (until <= now) this.remove(id, node)
    }
  }
}
