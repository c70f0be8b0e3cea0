import type { Plan } from '../../definition/plan.ts'
import { openApprovals } from './approvals.ts'
import type { Command } from './command.ts'
import type { ExecutionError, Queued, SlotRefused } from './event.ts'
import type { ExecutionState, StepState } from './state.ts'
import type { Turn } from './turn.ts'

/*
 * A slot of a key, as the execution that wants it sees it; who has it and who waits is in the database:
 *
 *   (asked for) ──queued──▶ waiting ──granted──▶ held ──the step or the execution ends──▶ given back
 *                              └─────refused──▶ the step fails, or the execution is cancelled
 *   held, but given back since (a rollback to within the step, a retry) ──▶ regained: nothing goes on before it is held again
 *
 * Asking and giving back are written with the events that say so. The ticket, the seq of the event that asked, names the row.
 */
export interface Slot {
  /** 0: not asked for yet. */
  ticket: number
  readonly scope: string
  readonly key: string
  readonly limit: number
  /** When it was asked for, ms since 1970. */
  readonly since: number
  /** When the wait for it ends, if it does by itself. */
  dueAt?: number
  isHeld: boolean
  /** The execution may not wait for it: it fails with this before it has started, at `resume` when it is paused. */
  refusal?: ExecutionError
  /** Who has it stands within the step already: the whole execution is held until it has it again. */
  regains?: true
}

/** What a slot belongs to: a step, or with the path '' the execution. */
interface Holder {
  readonly path: string
  slot?: Slot | undefined
}

export const holderAt = (state: ExecutionState, path: string): Holder | undefined =>
  path === '' ? executionHolder(state) : state.steps.get(path)

function executionHolder(state: ExecutionState): Holder {
  return {
    path: '',
    get slot() {
      return state.slot
    },
    set slot(slot) {
      if (slot === undefined) delete state.slot
      else state.slot = slot
    },
  }
}

function* holders(state: ExecutionState): Generator<Holder> {
  if (state.slot !== undefined) yield executionHolder(state)
  for (const step of state.steps.values()) if (step.slot !== undefined) yield step
}

export interface SlotName {
  readonly path: string
  readonly ticket: number
  readonly scope: string
  readonly key: string
}

/** All that an execution has asked for and not given back. */
export const slotsOf = (state: ExecutionState): SlotName[] =>
  [...holders(state)].flatMap(({ path, slot }) => (slot!.ticket === 0 ? [] : nameOf(path, slot!)))

const nameOf = (path: string, { ticket, scope, key }: Slot): SlotName => ({ path, ticket, scope, key })

/** Folds `step.queued` and `execution.queued`: it is in the line as soon as this is committed. */
export function joinLine(turn: Turn, path: string, data: Queued): void {
  const holder = holderAt(turn.state, path)!
  const { scope, key, limit, waitTimeoutMs } = data
  const { seq: ticket } = turn.state
  const regains = holder.slot?.regains === true
  holder.slot = { ticket, scope, key, limit, since: turn.at, isHeld: false, ...(regains && { regains }) }
  turn.commands.push({ type: 'ask_slot', path, ticket, ...data })
  if (waitTimeoutMs === undefined) return
  holder.slot.dueAt = turn.at + waitTimeoutMs
  turn.commands.push({ type: 'set_timer', timer: 'slot', path, dueAt: holder.slot.dueAt })
}

/** The timers of those that wait in line for a while only. */
export const slotTimers = (state: ExecutionState) =>
  [...holders(state)].flatMap(({ path, slot }) =>
    isQueued(slot) && slot.dueAt !== undefined
      ? [{ type: 'set_timer', timer: 'slot', path, dueAt: slot.dueAt } as const]
      : [],
  )

/** What an execution that has not started is held up by: the wait for its slot, or that it may not have it. */
export const beforeStart = (state: ExecutionState): readonly Command[] =>
  state.slot?.refusal === undefined ? slotTimers(state) : [{ type: 'fail', error: state.slot.refusal }]

/** It is told that it may not wait any longer. */
export function refuse(turn: Turn, slot: Slot, error: ExecutionError): void {
  stopWaiting(turn, '', slot)
  slot.refusal = error
}

/** They are taken down; their due times stay in the state. */
export function stopSlotTimers(turn: Turn): void {
  for (const { path } of slotTimers(turn.state)) turn.commands.push({ type: 'clear_timer', timer: 'slot', path })
}

/** The row behind the ticket is held now. Null when nobody asks for that any more; the holder has given it back then. */
export function take(turn: Turn, path: string, ticket: number): Slot | null {
  const slot = holderAt(turn.state, path)?.slot
  if (slot === undefined || slot.ticket !== ticket || slot.isHeld) return null
  slot.isHeld = true
  stopWaiting(turn, path, slot)
  return slot
}

function stopWaiting(turn: Turn, path: string, slot: Slot): void {
  if (slot.dueAt === undefined) return
  delete slot.dueAt
  turn.commands.push({ type: 'clear_timer', timer: 'slot', path })
}

/** Whether a refusal is still about what this execution waits for. */
export function isAwaited(state: ExecutionState, path: string, ticket: number): boolean {
  const slot = holderAt(state, path)?.slot
  return slot !== undefined && slot.ticket === ticket && !slot.isHeld
}

/** Whatever it has, or waits for, is given back. */
export function giveBack(turn: Turn, path: string, step?: StepState): void {
  const holder: Holder | undefined = step ?? holderAt(turn.state, path)
  const slot = holder?.slot
  if (slot === undefined) return
  stopWaiting(turn, path, slot)
  if (slot.ticket !== 0) turn.commands.push({ type: 'release_slot', ...nameOf(path, slot) })
  delete holder!.slot
  if (path === '') delete turn.state.slot
}

/** Nothing of what it held is there any more, while it stands within: it is asked for again before anything goes on. */
const lost = (slot: Slot): Slot => ({ ...slot, ticket: 0, isHeld: false, regains: true })

/** What an ended execution that goes on again must have: its own slot, and those that were taken away in the midst of steps. */
export function loseAll({ plan, state }: Turn): void {
  for (const holder of holders(state)) {
    if (holder.slot!.isHeld) holder.slot = lost(holder.slot!)
    else beginAnew(holder)
  }
  needOwn(plan, state)
}

/** It was given back with all that it was: it is evaluated anew. */
const nowhere = { ticket: 0, scope: '', key: '', limit: 0, isHeld: false }

function needOwn(plan: Plan, state: ExecutionState): void {
  if (plan.slot !== null) state.slot ??= lost({ ...nowhere, since: state.at })
}

/** What an execution that was held goes on with once it has its slots again. */
export type Regaining = 'retry' | 'resume'

/** True when slots must be asked for again first: they are, and `then` follows when the last one is there. */
export function mustRegain(turn: Turn, then: Regaining): boolean {
  const { state } = turn
  if (![...holders(state)].some(({ slot }) => slot!.regains === true)) return false
  state.regaining ??= then
  askForLost(turn)
  return true
}

/** What was lost and can be asked for now. */
export function askForLost({ state, commands }: Turn): void {
  for (const path of unasked(state)) commands.push({ type: 'queue', path })
}

/**
 * Where slots were lost and are to be asked for: what stands within another comes after that, in the order in which they were taken
 * at first. Who takes keys in the same order everywhere so waits in no circle.
 */
export function unasked(state: ExecutionState): string[] {
  const missing = [...holders(state)].filter(({ slot }) => slot!.regains === true)
  const isWithinAnother = (path: string): boolean => missing.some((other) => isWithin(path, other.path))
  return missing.flatMap(({ path, slot }) => (slot!.ticket === 0 && !isWithinAnother(path) ? path : []))
}

const isWithin = (path: string, around: string): boolean =>
  path !== around && (around === '' || path.startsWith(`${around}.`) || path.startsWith(`${around}[`))

/** A lost slot is there again; what is to follow when it was the last one. */
export function regained(state: ExecutionState, slot: Slot): Regaining | null {
  delete slot.regains
  if ([...holders(state)].some((holder) => holder.slot!.regains === true)) return null
  const then = state.regaining ?? null
  delete state.regaining
  return then
}

/** What a rollback makes of the slots that the execution has when it happens. */
export interface SlotsRegrouped {
  /** Held at the checkpoint and ever since. */
  readonly kept: readonly { readonly path: string; readonly ticket: number }[]
  readonly released: readonly SlotName[]
}

/** Null when there are none, now and at the checkpoint. */
export function regroupSlots(present: ExecutionState, atCheckpoint: ExecutionState): SlotsRegrouped | null {
  const now = slotsOf(present)
  const before = [...holders(atCheckpoint)]
  if (now.length === 0 && before.length === 0) return null
  const stays = new Map(
    before.filter((holder) => staysWithin(atCheckpoint, holder)).map(({ path, slot }) => [path, slot!.ticket]),
  )
  const isKept = ({ path, ticket }: SlotName): boolean =>
    stays.get(path) === ticket && holderAt(present, path)!.slot!.isHeld
  return {
    kept: now.filter(isKept).map(({ path, ticket }) => ({ path, ticket })),
    released: now.filter((name) => !isKept(name)),
  }
}

/** Steps that were under way begin anew, and ask anew, those of an approval's deadline too; others stand within what they held. */
function staysWithin(state: ExecutionState, holder: Holder | StepState): boolean {
  const isUnderWay = 'status' in holder && holder.status === 'running' && holder.frame === undefined
  if (holder.slot?.isHeld !== true || isUnderWay) return false
  return !Object.values(openApprovals(state)).some((asking) => holder.path.startsWith(`${asking}[`))
}

/** Folds what `regroupSlots` found into the state at the checkpoint, before its steps in flight are begun anew. */
export function regroupedSlots(turn: Turn, regrouped: SlotsRegrouped | undefined): void {
  const { plan, state } = turn
  for (const name of regrouped?.released ?? []) turn.commands.push({ type: 'release_slot', ...name })
  const kept = new Map((regrouped?.kept ?? []).map(({ path, ticket }) => [path, ticket]))
  for (const holder of holders(state)) {
    if (!staysWithin(state, holder)) beginAnew(holder)
    else if (kept.get(holder.path) !== holder.slot!.ticket) holder.slot = lost(holder.slot!)
  }
  delete state.regaining
  needOwn(plan, state)
}

function beginAnew(holder: Holder | StepState): void {
  delete holder.slot
  if ('status' in holder && holder.status === 'waiting') holder.status = 'pending'
}

/** What a step fails with that may not wait. */
export const concurrencyLimit = (
  path: string,
  { holders: ids, limit }: Pick<SlotRefused, 'holders' | 'limit'>,
  { scope, key }: Slot,
): ExecutionError => ({
  type: 'ConcurrencyLimit',
  message: `no slot of "${key}" is free: ${limit === undefined ? '' : `at most ${limit} at once, held by `}${ids.join(', ')}`,
  ...(path !== '' && { stepPath: path }),
  retryable: false,
  details: { scope, key, ...(limit !== undefined && { limit }), holders: [...ids] },
})

/** What a step fails with that has waited for as long as it may. */
export const concurrencyTimeout = (path: string, timeoutMs: number, { scope, key, limit }: Slot): ExecutionError => ({
  type: 'ConcurrencyTimeout',
  message: `no slot of "${key}" was free within ${timeoutMs} ms`,
  ...(path !== '' && { stepPath: path }),
  retryable: false,
  details: { scope, key, limit, waitTimeoutMs: timeoutMs },
})

/** The line of a key in which it stands, since when, and until when if it does not wait for ever (ms since 1970). */
export interface QueuedFor {
  readonly scope: string
  readonly key: string
  readonly since: number
  readonly dueAt?: number
}

/** It stands in a line; nobody knows for how long. */
export const isQueued = (slot: Slot | undefined): slot is Slot =>
  slot !== undefined && !slot.isHeld && slot.ticket !== 0 && slot.refusal === undefined

export function queuedFor(slot: Slot | undefined): { readonly queued?: QueuedFor } {
  if (!isQueued(slot)) return {}
  const { scope, key, since, dueAt } = slot
  return { queued: { scope, key, since, ...(dueAt !== undefined && { dueAt }) } }
}
