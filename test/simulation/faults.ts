import { type Targets, targetNames } from './effects.ts'
import type { Server } from './model/server.ts'
import type { SimulatedNode } from './node.ts'
import type { Fault, Timed } from './scenario.ts'
import type { World } from './world.ts'

/** What goes wrong, and how it is set right again. */
export class Faults {
  /** Commits take up to this long, ms. */
  commitMs = 0
  readonly #world: World
  readonly #server: Server
  readonly #nodes: readonly SimulatedNode[]
  /** Outages overlap: the server is up when none is left. */
  #outages = 0
  readonly #targets: Targets

  constructor(world: World, server: Server, nodes: readonly SimulatedNode[], targets: Targets) {
    this.#targets = targets
    this.#world = world
    this.#server = server
    this.#nodes = nodes
  }

  happen({ what }: Timed<Fault>): void {
    this.#world.note(`fault ${JSON.stringify(what)}`)
    switch (what.type) {
      case 'crash':
        return this.#crash(this.#node(what), what.forMs)
      case 'stall':
        return this.#node(what).stall(what.forMs)
      case 'stop':
        return void this.#stop(this.#node(what), what.forMs)
      case 'outage':
        return this.#outage(what.forMs, 0)
      case 'failover':
        return this.#outage(what.forMs, what.lost)
      case 'read_only':
        return this.#unwritable('25006', what.forMs)
      case 'disk_full':
        return this.#unwritable('53100', what.forMs)
      case 'flaky':
        return this.#flaky(this.#node(what), what.rate, what.forMs)
      case 'late_flushes':
        return this.#lateFlushes(this.#node(what), what.rate, what.forMs)
      case 'freeze':
        return this.#node(what).freezeAtCommit(what.forMs)
      case 'slow_network':
        return this.#slowNetwork(this.#node(what), what.transitMs, what.forMs)
      case 'target_away':
        return this.#targetAway(targetNames[what.target]!, what.forMs)
      case 'slow_disk':
        this.commitMs = what.commitMs
        this.#after(what.forMs, () => {
          this.commitMs = 0
        })
    }
  }

  /** Nothing goes wrong any more; whoever is gone comes back. */
  end(): void {
    this.commitMs = 0
    this.#outages = 0
    this.#targets.away.clear()
    this.#server.unwritable = null
    this.#server.start()
    for (const node of this.#nodes) {
      node.lossRate = 0
      node.lateRate = 0
      node.slowMs = 0
      node.freezeAtCommit(0)
      node.start()
    }
  }

  #crash(node: SimulatedNode, forMs: number): void {
    node.crash()
    this.#after(forMs, () => node.start())
  }

  async #stop(node: SimulatedNode, forMs: number): Promise<void> {
    await node.stop()
    this.#after(forMs, () => node.start())
  }

  #outage(forMs: number, lost: number): void {
    this.#server.stop()
    if (lost > 0) this.#server.loseCommits(lost)
    this.#outages += 1
    this.#after(forMs, () => {
      this.#outages -= 1
      if (this.#outages <= 0) this.#server.start()
    })
  }

  #unwritable(code: string, forMs: number): void {
    this.#server.unwritable = code
    this.#after(forMs, () => {
      this.#server.unwritable = null
    })
  }

  #flaky(node: SimulatedNode, rate: number, forMs: number): void {
    node.lossRate = rate
    this.#after(forMs, () => {
      node.lossRate = 0
    })
  }

  #lateFlushes(node: SimulatedNode, rate: number, forMs: number): void {
    node.lateRate = rate
    this.#after(forMs, () => {
      node.lateRate = 0
    })
  }

  #targetAway(target: string, forMs: number): void {
    this.#targets.away.add(target)
    this.#after(forMs, () => this.#targets.away.delete(target))
  }

  #slowNetwork(node: SimulatedNode, transitMs: number, forMs: number): void {
    node.slowMs = transitMs
    this.#after(forMs, () => {
      node.slowMs = 0
    })
  }

  #after(delayMs: number, run: () => void): void {
    this.#world.after(delayMs, null, run)
  }

  #node({ node }: { readonly node: number }): SimulatedNode {
    return this.#nodes[node % this.#nodes.length]!
  }
}
