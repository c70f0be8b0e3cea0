import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { type Cluster, type NodeChild, reborn } from './cluster.ts'
import type { Ledger } from './ledger.ts'
import type { Point } from './points.ts'
import type { Random } from './random.ts'

export const faultKinds = [
  'killed at any moment',
  'killed at a named point',
  'stood still past its lease',
  'stood still shortly',
] as const

/** A fault as it was made. */
export interface Fault {
  readonly how: (typeof faultKinds)[number]
  /** The life that it hit. */
  readonly node: string
  /** The database's clock when it was made, ms since 1970. */
  readonly at: number
}

const points: readonly Point[] = [
  'before flush step.completed',
  'during flush step.completed',
  'after flush step.completed',
  'during flush step.started',
  'after flush step.started',
  'during flush start',
  'after flush start',
  'during flush execution.completed',
  'after flush execution.completed',
  'during flush execution.parked',
  'after flush execution.parked',
  'during flush inbox',
  'after flush inbox',
  'during startKeyed',
  'after startKeyed',
  'after insertInboxKeyed',
  'after claim',
  'during flush execution.recovered',
  'after read checkpoint',
  'during flush execution.rolled_back',
  'after insertSnapshot',
  'before perform charge',
  'after perform charge',
  'after perform fan.right',
  'after perform ship',
]

/** Makes faults in a cluster under load, one after another, each in its own time: after so many more entries in the ledger. */
export class Faults {
  readonly made: Fault[] = []
  readonly #cluster: Cluster
  readonly #ledger: Ledger
  readonly #random: Random
  readonly #database: pg.Client

  /** `database` tells the time and who is alive. */
  constructor(cluster: Cluster, ledger: Ledger, random: Random, database: pg.Client) {
    this.#cluster = cluster
    this.#ledger = ledger
    this.#random = random
    this.#database = database
  }

  /** Kills a node, at any moment or where it comes to a named point, and puts another in its place. */
  async kill(): Promise<void> {
    const random = this.#random
    const isNamed = random.next() < 0.5
    if (!isNamed) {
      await this.#someEntries(5, 40)
      const victim = random.of(this.#cluster.alive)
      await this.#note('killed at any moment', victim, () => victim.process.kill('SIGKILL'))
      await this.#cluster.start().url
      return
    }
    // One more node, which dies by itself when it comes to the point. If it does not come there it is killed all the same.
    const victim = this.#cluster.start({ point: random.of(points), nth: random.between(1, 3) })
    await victim.url
    let isGone = false
    const gone = new Promise<false>((resolve) => victim.process.once('exit', () => resolve(false)))
    gone.then(() => (isGone = true))
    // Nobody may be left to make entries by then: the wait for them ends with the victim.
    const isLate = await Promise.race([gone, this.#someEntries(80, 160, () => isGone).then(() => true)])
    await this.#note(isLate ? 'killed at any moment' : 'killed at a named point', victim, () =>
      victim.process.kill('SIGKILL'),
    )
  }

  /** A node stands still until it was declared dead, then wakes up and begins a new life. */
  async standStill(): Promise<void> {
    await this.#someEntries(5, 40)
    const victim = this.#random.of(this.#cluster.alive)
    const id = victim.ids.at(-1)!
    await this.#note('stood still past its lease', victim, () => victim.process.kill('SIGSTOP'))
    await this.#until(async () => (await this.#query(`SELECT FROM nodes WHERE id = '${id}'`)).length === 0)
    const begun = reborn(victim)
    victim.process.kill('SIGCONT')
    await begun
  }

  /** A node stands still, and goes on before its lease is over, or not long after: whichever it is nobody is hurt. */
  async standStillShortly(): Promise<void> {
    await this.#someEntries(5, 40)
    const victim = this.#random.of(this.#cluster.alive)
    await this.#note('stood still shortly', victim, () => victim.process.kill('SIGSTOP'))
    await this.#someEntries(5, 10)
    victim.process.kill('SIGCONT')
  }

  async #note(how: Fault['how'], victim: NodeChild, make: () => void): Promise<void> {
    make()
    const [{ at }] = (await this.#query('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at')) as [
      { at: number },
    ]
    this.made.push({ how, node: victim.ids.at(-1)!, at })
  }

  /** Waits until the ledger has heard of some more; that is how the load says that it is going on. */
  #someEntries(least: number, most: number, isMoot = () => false): Promise<void> {
    const wanted = this.#ledger.entries.length + this.#random.between(least, most)
    return this.#until(async () => this.#ledger.entries.length >= wanted || isMoot())
  }

  async #until(condition: () => Promise<boolean>): Promise<void> {
    while (!(await condition())) await delay(20)
  }

  async #query(text: string): Promise<unknown[]> {
    return (await this.#database.query(text)).rows
  }
}
