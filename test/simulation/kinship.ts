import type { SubWorkflowPlan } from '../../src/definition/plan.ts'
import { childrenOf } from '../../src/engine/core/children.ts'
import { type Child, type ExecutionState, isFinished } from '../../src/engine/core/state.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import type { Archive } from './archive.ts'
import type { Mirror } from './mirror.ts'
import type { Server } from './model/server.ts'
import type { EventRow } from './model/tables.ts'

type Fault = (rule: string, what: string) => void

const ends: ReadonlySet<string> = new Set(['execution.completed', 'execution.failed', 'execution.cancelled'])

/** What must hold between one parent and its children, event by event of the parent. Begun anew when its mirror is. */
export class Kinship {
  /** Children whose end this parent has asked for. */
  readonly ordered = new Set<string>()
  readonly #mirror: Mirror
  readonly #server: Server
  readonly #archive: Archive
  readonly #fault: Fault
  readonly #started = new Set<string>()
  #before: Readonly<Record<string, Child>> = {}
  #wasPaused = false

  constructor(mirror: Mirror, server: Server, archive: Archive, fault: Fault) {
    this.#mirror = mirror
    this.#server = server
    this.#archive = archive
    this.#fault = fault
  }

  /** Before an event is folded. */
  coming(row: EventRow): void {
    this.#before = { ...childrenOf(this.#mirror.state) }
    this.#wasPaused = this.#mirror.state.status === 'paused'
    if (row.type === 'child.started') this.#expectOneChild(row)
    if (row.type === 'step.completed') this.#expectEnd(row)
    if (row.type === 'execution.completed') this.#expectAllAwaited()
  }

  /** After it was folded: whoever is not known any more has ended or was let go. */
  folded(row: EventRow): void {
    const left = childrenOf(this.#mirror.state)
    for (const [id, { policy, path }] of Object.entries(this.#before)) {
      if (left[id] !== undefined || this.#hasEndedBy(row, id, path)) continue
      if (policy === 'abandon' && row.type !== 'execution.rolled_back') continue
      this.ordered.add(id)
      this.#expectTold(id, 'cancel')
    }
    const action = row.type === 'execution.paused' ? 'pause' : row.type === 'execution.resumed' ? 'resume' : null
    if (action === null || (action === 'resume' && !this.#wasPaused)) return
    for (const [id, { isAwaited, policy }] of Object.entries(left)) {
      if (isAwaited || policy !== 'abandon') this.#expectTold(id, action)
    }
  }

  /** With the very event: a live child has the request in its inbox. */
  #expectTold(id: string, action: string): void {
    const { executions, inbox } = this.#server.tables
    if (isFinished(executions.get(id)?.status ?? 'failed')) return
    if ([...inbox.values()].some(({ executionId, kind }) => executionId === id && kind === action)) return
    this.#fault('children are told what their parent does', `${id}: no ${action}`)
  }

  /** Exactly one child for each time that a step begins. */
  #expectOneChild({ executionId, seq, path, text }: EventRow): void {
    const { state, retries } = this.#mirror
    const begun = `${state.generation}/${retries}/${path}`
    const what = `${path} at seq ${seq}`
    if (this.#started.has(begun)) this.#fault('a step starts exactly one child', what)
    this.#started.add(begun)
    const id: string = JSON.parse(text).executionId
    const first = this.#archive.events.get(id)?.get(1)
    const parent = first === undefined ? undefined : JSON.parse(first.text).parent
    if (this.#archive.rows.get(id)?.parentExecutionId !== executionId || parent?.path !== path)
      this.#fault('a child is there as soon as its parent says so', `${what}: ${id}`)
  }

  /** A step that waits is completed with what its child came to, and not before. */
  #expectEnd({ path, text }: EventRow): void {
    const { state, plan } = this.#mirror
    const step = state.steps.get(path!)
    const stepPlan = step && planOf(plan, step)
    if (stepPlan?.type !== 'sub_workflow' || (stepPlan as SubWorkflowPlan).mode !== 'wait') return
    const child = this.#archive.rows.get(step?.child ?? '')
    const output = JSON.stringify(JSON.parse(text).output)
    if (child?.status === 'completed' && (child.output ?? 'null') === output) return
    this.#fault('a step waits for the end of its child', `${path}: the child is ${child?.status}, ${child?.output}`)
  }

  #expectAllAwaited(): void {
    for (const [id, { policy, path }] of Object.entries(this.#before)) {
      if (policy === 'wait') this.#fault('who waits for a child is not completed before it', `${path}: ${id}`)
    }
  }

  #hasEndedBy({ type, path, text }: EventRow, id: string, of: string): boolean {
    const { executionId, error } = JSON.parse(text)
    const isSaid =
      type === 'child.ended'
        ? executionId === id
        : path === of && (type === 'step.completed' || (type === 'step.failed' && error.details?.executionId === id))
    if (!isSaid) return false
    if (!hasEnded(this.#archive, id)) this.#fault('a child has ended when its parent says so', `${of}: ${id}`)
    return true
  }
}

const hasEnded = (archive: Archive, id: string): boolean =>
  archive.eventsOf(id).some(({ type }) => ends.has(type) || type === 'execution.quarantined')

/** What must hold at the end between all of them. `asked`: whose cancel a client has asked for. */
export function settledKinship(
  archive: Archive,
  mirrors: ReadonlyMap<string, Mirror>,
  asked: ReadonlySet<string>,
  fault: Fault,
): void {
  const { rows, events } = archive
  const begun = new Map<string, string>()
  for (const [id, own] of events) {
    for (const { type, text } of own.values()) if (type === 'child.started') begun.set(JSON.parse(text).executionId, id)
  }
  for (const { id, parentExecutionId, status } of rows.values()) {
    if (parentExecutionId === null) continue
    if (begun.get(id) !== parentExecutionId) fault('no child without its parent’s word', id)
    const parent = mirrors.get(parentExecutionId)
    if (status === 'cancelled' && !asked.has(id) && parent?.kinship.ordered.has(id) !== true)
      fault('only who asks is cancelled', `the child ${id}`)
    const known = parent === undefined ? undefined : childrenOf(parent.state)[id]
    if (known !== undefined && parent?.quarantine === null && isFinished(parent.state.status))
      fault('a parent that has ended knows no live children', `${parentExecutionId}: ${id}`)
  }
  for (const [child, parent] of begun) if (!rows.has(child)) fault('a child stays', `${parent}: ${child}`)
}

/** Something befell a child, or one of its own, that the undisturbed run does not know of. */
export function isUpset(
  archive: Archive,
  mirrors: ReadonlyMap<string, Mirror>,
  asked: ReadonlySet<string>,
  parent: string,
): boolean {
  for (const { id, parentExecutionId } of archive.rows.values()) {
    if (parentExecutionId !== parent) continue
    const mirror = mirrors.get(id)
    if (mirror === undefined || mirror.hasBeenQuarantined || asked.has(id) || hasGivenUp(mirror.state)) return true
    if (isUpset(archive, mirrors, asked, id)) return true
  }
  return false
}

/** A rollback that was given up, since a compensation failed, is no end that the undisturbed run could have. */
export const hasGivenUp = ({ aftermath }: ExecutionState): boolean => aftermath?.rollback !== undefined
