import type { Plan } from '../../src/definition/plan.ts'
import { effectiveRanges, fold } from '../../src/engine/core/fold.ts'
import { bodyPath, createState, type ExecutionState, stepIdOf } from '../../src/engine/core/state.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import type { ExecutionRow } from '../../src/repository/execution-row.ts'
import type { Archive } from './archive.ts'
import { COUNTER } from './definitions.ts'
import { Kinship } from './kinship.ts'
import { toEvent } from './model/reads.ts'
import type { Server } from './model/server.ts'
import type { EventRow } from './model/tables.ts'

/** One execution as what is committed tells it, folded commit by commit, and what its history must never show. */
export class Mirror {
  readonly row: ExecutionRow
  readonly plan: Plan
  state: ExecutionState
  /** seq of the newest `step.started` of each path. */
  readonly started = new Map<string, number>()
  /** `generation/path` of every completed step. */
  readonly completed = new Set<string>()
  /** Orders to perform again what failed: `retry`. */
  retries = 0
  quarantine: string | null = null
  hasBeenQuarantined = false
  readonly kinship: Kinship
  readonly #rows: EventRow[] = []
  /** Paths of tries that had failed after their `finally` when somebody asked for a retry. */
  readonly #failedTries = new Set<string>()
  readonly #fault: (rule: string, what: string) => void
  #percentage = 0

  constructor(
    row: ExecutionRow,
    plan: Plan,
    server: Server,
    archive: Archive,
    fault: (rule: string, what: string) => void,
  ) {
    this.row = row
    this.plan = plan
    this.#fault = fault
    this.state = this.#begin()
    this.kinship = new Kinship(this, server, archive, fault)
  }

  get seq(): number {
    return this.#rows.length
  }

  /** Takes in what was committed since. */
  advance(events: ReadonlyMap<number, EventRow>): void {
    while (this.#rows.length < events.size) {
      const seq = this.#rows.length + 1
      const row = events.get(seq)
      if (row === undefined) {
        this.#fault('seq has no hole', `${events.size} events, but none has seq ${seq}`)
        return
      }
      this.#take(row)
    }
  }

  #take(row: EventRow): void {
    const before = this.#rows.at(-1)
    this.#rows.push(row)
    const { type, seq } = row
    if (before !== undefined && row.at < before.at) {
      this.#fault('time never goes back in a history', `seq ${seq} is at ${row.at}, the one before at ${before.at}`)
    }
    this.kinship.coming(row)
    if (type === 'execution.rolled_back') this.#rollBack(row)
    else this.#goOn(row)
    this.kinship.folded(row)
  }

  #goOn(row: EventRow): void {
    const { type, seq, path } = row
    this.quarantine = null
    if (type === 'execution.quarantined') {
      this.quarantine = JSON.parse(row.text).error.type
      this.hasBeenQuarantined = true
      if (this.quarantine !== 'CrashLoop') this.#fault('no bug shows', `quarantined: ${row.text}`)
    }
    if (type === 'execution.retried') this.#retried()
    // Whoever is asked anew is reminded anew.
    if (type === 'approval.requested') this.#forgetInside(bodyPath(path!, 'onDeadline'))
    if (path !== null) this.#expectFinally(path)
    if (type === 'step.started') this.started.set(path!, seq)
    if (type === 'step.completed') this.#complete(path!)
    if (type === 'step.completed') this.#count(row)
    if (row.percentage < this.#percentage) {
      this.#fault('progress never falls', `from ${this.#percentage} to ${row.percentage} at seq ${seq} (${type})`)
    }
    this.#percentage = row.percentage
    this.#fold([row])
    const { completedLeaves, progress } = this.state
    if (completedLeaves > this.plan.leafCount || progress > 1 + 1e-9)
      this.#fault('each step counts once', `${completedLeaves} of ${this.plan.leafCount}, ${progress} at seq ${seq}`)
  }

  #retried(): void {
    this.retries += 1
    this.#failedTries.clear()
    // It runs again when the flow fails again.
    this.#forgetInside('[onFailure]')
    for (const step of this.state.steps.values()) {
      const isOpen = step.status === 'failed' || step.status === 'cancelled'
      const hasCleaned = this.state.steps.get(bodyPath(step.path, 'finally'))?.status === 'completed'
      if (isOpen && hasCleaned && planOf(this.plan, step).type === 'try') this.#failedTries.add(step.path)
    }
  }

  /** A `finally` runs each time after its try's steps or catch ran: once more after a retry in which those go on. */
  #expectFinally(path: string): void {
    for (const failed of this.#failedTries) {
      const cleanup = bodyPath(failed, 'finally')
      if (!path.startsWith(`${failed}[`) || path.startsWith(cleanup)) continue
      this.#failedTries.delete(failed)
      this.#forgetInside(cleanup)
    }
  }

  /** What stands in this body may be completed once more. */
  #forgetInside(body: string): void {
    const inside = `${this.state.generation}/${body}.`
    for (const key of this.completed) if (key.startsWith(inside)) this.completed.delete(key)
  }

  #complete(path: string): void {
    const key = `${this.state.generation}/${path}`
    if (this.completed.has(key)) this.#fault('a completed step is never performed again', `${path} completes twice`)
    this.completed.add(key)
  }

  /** What a `set` makes of a variable is made of what it was right before. */
  #count({ seq, path, text }: EventRow): void {
    if (this.plan.steps.get(stepIdOf(path!))?.type !== 'set') return
    const counted = JSON.parse(text).output?.[COUNTER]
    const before = this.state.variables[COUNTER] as number
    if (counted !== undefined && counted !== before + 1)
      this.#fault('no update of a variable is lost', `${path} makes ${counted} of ${before} at seq ${seq}`)
  }

  #rollBack(row: EventRow): void {
    const rollbacks = this.#rows
      .filter(({ type }) => type === 'execution.rolled_back')
      .map(({ seq, text }) => ({ seq, toSeq: JSON.parse(text).toSeq as number }))
    this.state = this.#begin()
    for (const [from, to] of effectiveRanges(rollbacks, row.seq)) this.#fold(this.#rows.slice(from - 1, to))
    this.#percentage = row.percentage
  }

  #fold(rows: readonly EventRow[]): void {
    try {
      fold(this.plan, this.state, rows.map(toEvent))
    } catch (error) {
      this.#fault('every history folds', (error as Error).stack ?? String(error))
    }
  }

  #begin(): ExecutionState {
    const { id: executionId, format, input } = this.row
    return createState({ executionId, format, input, variables: this.plan.variables })
  }
}
