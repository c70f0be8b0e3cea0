import type { ActionPlan, Plan } from '../../src/definition/plan.ts'
import { isFinished, parentPath } from '../../src/engine/core/state.ts'
import { Archive } from './archive.ts'
import { Decisions } from './decisions.ts'
import { type Effect, jsonOf } from './effects.ts'
import { Exclusion } from './exclusion.ts'
import { hasGivenUp, isUpset, settledKinship } from './kinship.ts'
import { Lines } from './lines.ts'
import { Mail } from './mail.ts'
import { Mirror } from './mirror.ts'
import { toRow } from './model/reads.ts'
import type { Server, Transaction, Witness } from './model/server.ts'
import type { SimulatedNode } from './node.ts'
import { Pace } from './pace.ts'
import { type Named, undisturbed } from './undisturbed.ts'
import type { World } from './world.ts'

/** What was broken: a promise of the engine, by its name, and how. */
export interface Broken {
  readonly rule: string
  readonly what: string
  /** ms. */
  readonly at: number
}

/**
 * Watches the database and the world, and holds every promise against them at the moment in which it counts: at each
 * commit, at each effect, at each answer, and at the end.
 */
export class Audit implements Witness {
  readonly broken: Broken[] = []
  /** A failover lost acknowledged commits: what was done and then forgotten may be done again. */
  hasLostCommits = false
  readonly mirrors = new Map<string, Mirror>()
  readonly archive: Archive
  readonly decisions: Decisions
  readonly lines: Lines
  readonly #mail: Mail
  readonly #world: World
  readonly #server: Server
  readonly #planOf: (workflowId: string) => Plan
  readonly #planNamed: Named
  readonly #isCalm: boolean
  readonly #performed = new Set<string>()
  readonly #exclusion: Exclusion
  readonly #pace: Pace

  /** `isCalm`: nothing goes wrong in this run, so nothing need be done twice. */
  constructor(world: World, server: Server, planOf: (workflowId: string) => Plan, planNamed: Named, isCalm: boolean) {
    this.#world = world
    this.#server = server
    this.#planOf = planOf
    this.#planNamed = planNamed
    this.#isCalm = isCalm
    this.archive = new Archive(server, (rule, what) => this.fault(rule, what))
    this.decisions = new Decisions(this, server)
    this.lines = new Lines(this, server, isCalm)
    this.#mail = new Mail(this, server)
    this.#exclusion = new Exclusion(server, (rule, what) => this.fault(rule, what))
    this.#pace = new Pace(server, (rule, what) => this.fault(rule, what))
    server.witness = this
  }

  fault(rule: string, what: string): void {
    // Who believes in what was lost writes beside it, and is told so by the key: its history stays whole.
    if (this.hasLostCommits && rule === 'nobody else writes to a history') return
    // Histories are folded anew, long after who was told has taken it in.
    if (this.hasLostCommits && rule === 'children are told what their parent does') return
    this.#world.note(`BROKEN: ${rule}: ${what}`)
    this.broken.push({ rule, what, at: this.#world.now })
  }

  /** Promise 5: only its owner can commit to an execution's history; a node that was declared dead can commit nothing. */
  committing(transaction: Transaction): void {
    const { flush } = transaction
    if (flush === null) return
    this.#mail.committing(transaction)
    const { nodes, executions } = this.#server.tables
    if (!nodes.has(flush.node)) this.fault('a dead node commits nothing', `${flush.node} is not in nodes`)
    for (const { executionId, insert } of flush.appends) {
      const owner = executions.get(executionId)?.owner
      if (insert !== undefined || owner === flush.node || this.hasLostCommits) continue
      this.fault('only its owner commits to a history', `${executionId} is ${owner}'s, not ${flush.node}'s`)
    }
  }

  committed(): void {
    this.archive.committed()
    for (const [id, events] of this.archive.events) {
      const mirror = this.mirrors.get(id) ?? this.#mirrorOf(id)
      if (mirror === null || mirror.seq === events.size) continue
      const before = mirror.seq
      mirror.advance(events)
      for (let seq = before + 1; seq <= mirror.seq; seq++) {
        const { type, path, attempt, percentage } = events.get(seq)!
        this.#world.note(`  ${id.slice(-4)} ${seq} ${type} ${path ?? ''} ${attempt ?? ''} ${percentage} %`)
      }
    }
    this.#exclusion.committed(this.mirrors)
    this.#pace.committed()
    this.decisions.committed()
    this.lines.committed()
    this.#mail.committed()
  }

  turnedBack(commits: number): void {
    this.#world.note(`the newest ${commits} commits are lost`)
    this.hasLostCommits = true
    this.mirrors.clear()
    this.archive.turnedBack()
    this.#pace.turnedBack()
    for (const [id, events] of this.archive.events) this.#mirrorOf(id)?.advance(events)
  }

  /** Promises 2, 3 and 4, at the moment in which an action acts. */
  effect(node: SimulatedNode, effect: Effect): void {
    this.#pace.called(effect)
    if (this.hasLostCommits) return
    if (this.#isCalm) this.#exclusion.called(effect)
    const { executionId, path, attempt, key } = effect
    const mirror = this.mirrors.get(executionId)
    const step = mirror?.state.steps.get(path)
    const what = `${path} attempt ${attempt} on ${node.name}`
    if (mirror === undefined || step === undefined) return this.fault('an effect follows the commit of its cause', what)
    if (step.status === 'completed') return this.fault('a completed step is never performed again', what)
    if (step.status !== 'running' || step.attempt !== attempt) {
      return this.fault(
        'an effect follows the commit of its cause',
        `${what}; committed: ${step.status} ${step.attempt}`,
      )
    }
    this.lines.acting(effect, mirror)
    const expected = `${executionId}/${mirror.state.generation}/${path}`
    if (key !== expected) this.fault('every attempt of a step carries the key of its generation', `${key}: ${what}`)
    const owner = this.#server.tables.executions.get(executionId)?.owner ?? null
    if (owner === null || !this.#server.tables.nodes.has(owner) || !node.ids.has(owner)) {
      this.fault('only the owner performs', `${what}, owned by ${owner}`)
    }
    this.#once(mirror, path, attempt, what)
  }

  #once(mirror: Mirror, path: string, attempt: number, what: string): void {
    const plan = mirror.plan.steps.get(mirror.state.steps.get(path)!.id) as ActionPlan
    const order = `${mirror.row.id}/${mirror.state.generation}/${path}#${attempt}/${mirror.retries}`
    const mark = plan.delivery === 'at_most_once' ? `${order} started ${mirror.started.get(path)}` : order
    const isRepeated = this.#performed.has(mark)
    this.#performed.add(mark)
    if (!isRepeated) return
    if (plan.delivery === 'at_most_once') this.fault('at_most_once is never performed twice', what)
    else if (this.#isCalm) this.fault('nothing is repeated where nothing went wrong', what)
  }

  /** Promise 6 and the rest, when everything has come to its end. */
  settled(workflowIsTimed: (workflowId: string) => boolean, cancelled: ReadonlySet<string>): void {
    const { inbox } = this.#server.tables
    this.archive.settled()
    for (const row of this.archive.rows.values()) {
      const mirror = this.mirrors.get(row.id)
      if (mirror === undefined) {
        this.fault('every row has a history', row.id)
        continue
      }
      const { state } = mirror
      const status = mirror.quarantine === null ? state.status : 'failed'
      const about = `${row.id.slice(-4)}: row ${row.status}, history ${status}`
      if (!isFinished(row.status))
        this.fault('every execution ends', `${about}; owner ${row.owner}, wake ${row.wakeAt}`)
      else if (row.status !== status) this.fault('the row says what the history says', about)
      if (row.owner !== null) this.fault('a finished execution is nobody’s', about)
      if ([...inbox.values()].some((item) => item.executionId === row.id)) {
        this.fault('whatever reaches an execution is answered', about)
      }
      const left =
        mirror.quarantine === null && status === 'failed' && state.aftermath?.rollback === undefined
          ? (state.completions ?? [])
          : []
      if (left.length > 0)
        this.fault('what was completed is compensated', `${about}; left ${left.map(({ path }) => path)}`)
      if (status === 'cancelled' && !cancelled.has(row.id) && row.parentExecutionId === null)
        this.fault('only who asks is cancelled', about)
      if (
        isFinished(row.status) &&
        mirror.quarantine === null &&
        status !== 'cancelled' &&
        !workflowIsTimed(row.workflowId) &&
        !hasGivenUp(state) &&
        !isUpset(this.archive, this.mirrors, cancelled, row.id)
      ) {
        this.#compare(mirror)
      }
    }
    this.decisions.settled()
    this.lines.settled()
    this.#mail.settled()
    settledKinship(this.archive, this.mirrors, cancelled, (rule, what) => this.fault(rule, what))
  }

  /** The outcome equals the undisturbed run's. */
  #compare({ row, plan, state }: Mirror): void {
    const interrupted = new Set<string>()
    for (const { path, status, error } of state.steps.values()) {
      if (status === 'failed' && error?.type === 'StepInterrupted') interrupted.add(path)
    }
    const expected = undisturbed(plan, row, interrupted, this.#planNamed)
    const [is, should] = [outcomeOf(state), outcomeOf(expected)]
    if (is !== should) this.fault('the outcome is that of the undisturbed run', `${is} instead of ${should}`)
  }

  /** Every change of status was counted once. */
  statistics(): void {
    const counted: Record<string, number> = {}
    for (const { counts } of this.#server.tables.statistics) {
      for (const [status, count] of Object.entries(counts.present)) counted[status] = (counted[status] ?? 0) + count
    }
    for (const { status } of this.archive.rows.values()) counted[status] = (counted[status] ?? 0) - 1
    const wrong = Object.entries(counted).filter(([, count]) => count !== 0)
    if (wrong.length > 0) this.fault('every change of status is counted once', JSON.stringify(wrong))
  }

  #mirrorOf(id: string): Mirror | null {
    const stored = this.archive.rows.get(id)
    if (stored === undefined) return null
    const row = toRow(stored)
    const fault = (rule: string, what: string): void => this.fault(rule, `${id}: ${what}`)
    const mirror = new Mirror(row, this.#planOf(row.workflowId), this.#server, this.archive, fault)
    this.mirrors.set(id, mirror)
    return mirror
  }
}

/**
 * When a run ends well, all of it; when it fails, only that it does: which of two failures came first is chance. So is, within
 * a step that failed and was caught, how far the others had come.
 */
function outcomeOf({ status, output, steps }: Mirror['state']): string {
  if (status !== 'completed') return status
  const isWithinFailed = (path: string): boolean =>
    path !== '' && (steps.get(parentPath(path))?.status === 'failed' || isWithinFailed(parentPath(path)))
  const certain = [...steps.values()].filter(({ path }) => !isWithinFailed(path))
  const outputs = certain.map(
    (step) => `${step.path} ${step.status} ${step.output === undefined ? '' : jsonOf(step.output)}`,
  )
  return `${status} ${jsonOf(output)} ${outputs.sort().join('; ')}`
}
