import type { Upkeep } from '../repository/upkeep.ts'
import type { NodeLife } from './node-life.ts'

/**
 * Tells the cluster what this node no longer leans on, so that retention and compaction may remove it (docs/adr/0017). The fence
 * of each lane rests on the event that its last flush wrote; a flush without an answer will be sent again. In each round the
 * journal says whether all of that is younger than the last round but one, whose time is then published in the node's row.
 */
export class Settling {
  readonly #upkeep: Pick<Upkeep, 'databaseNow' | 'settleNode'>
  #life: NodeLife | null = null
  /** When the last two rounds of this life were, ms since 1970 by the database's clock, oldest first. */
  #rounds: number[] = []

  constructor(upkeep: Pick<Upkeep, 'databaseNow' | 'settleNode'>) {
    this.#upkeep = upkeep
  }

  /** One round of this life; its time. */
  async round(life: NodeLife | null): Promise<number> {
    if (life !== this.#life) {
      this.#life = life
      this.#rounds = []
    }
    const at = await this.#upkeep.databaseNow()
    if (life === null) return at
    const isSettled = await life.journal.settle()
    const [lastButOne, last] = this.#rounds
    this.#rounds = last === undefined ? [...this.#rounds, at] : [last, at]
    if (isSettled && last !== undefined) await this.#upkeep.settleNode(life.node, lastButOne!)
    return at
  }
}
