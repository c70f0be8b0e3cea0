import type { Command } from './command.ts'
import { type Child, type ExecutionState, isFinished } from './state.ts'
import type { Turn } from './turn.ts'

/*
 * A child of an execution, as its parent sees it:
 *
 *   started ──▶ live ──▶ ended   (its last flush told the parent)
 *                 └────▶ let go  (the parent ended, or went on without it: its policy decides whether it is cancelled)
 *
 * While its parent is out of service nobody hears its last word: afterwards a live one is doubtful, and is asked.
 */

/** More live children than this is a mistake, or a loop that starts faster than its children end. */
export const MOST_CHILDREN = 1_000
/** How deep sub-workflows may nest; a recursion without an end stops here. */
export const DEEPEST = 16

export const childrenOf = ({ children }: Pick<ExecutionState, 'children'>): Readonly<Record<string, Child>> =>
  children ?? {}

export function track({ state }: Turn, executionId: string, child: Child): void {
  state.children ??= {}
  state.children[executionId] = child
}

export function forgetChild(state: ExecutionState, executionId: string): void {
  delete state.children?.[executionId]
}

/** The parent goes on without a child that has not ended. */
export function letGo(turn: Turn, executionId: string): void {
  const child = childrenOf(turn.state)[executionId]
  if (child === undefined) return
  forgetChild(turn.state, executionId)
  if (child.policy !== 'abandon') turn.commands.push({ type: 'tell_child', executionId, action: 'cancel' })
}

/** The parent has ended. */
export function letAllGo(turn: Turn): void {
  for (const executionId of Object.keys(childrenOf(turn.state))) letGo(turn, executionId)
}

/** Pause and resume reach what the parent waits for, and what it would not abandon. */
export function tellAll(turn: Turn, action: 'pause' | 'resume'): void {
  for (const [executionId, { isAwaited, policy }] of Object.entries(childrenOf(turn.state))) {
    if (isAwaited || policy !== 'abandon') turn.commands.push({ type: 'tell_child', executionId, action })
  }
}

/** The root has ended well: only children whose policy is `wait` keep the execution from it. */
export const mayComplete = (state: ExecutionState): boolean =>
  !Object.values(childrenOf(state)).some(({ policy }) => policy === 'wait')

/** The parent goes on after a time in which it heard nothing. */
export function doubtAll(state: ExecutionState): void {
  for (const [executionId, child] of Object.entries(childrenOf(state)))
    state.children![executionId] = { ...child, isDoubtful: true }
}

/** Asks those of whom it is not known whether they live. */
export const questionsTo = (state: ExecutionState): Command[] =>
  Object.entries(childrenOf(state)).flatMap(([executionId, { isDoubtful }]) =>
    isDoubtful === true ? { type: 'ask_child', executionId } : [],
  )

/** A child that no step waits for has ended. One that is not known any more was let go. */
export function childEnded(turn: Turn, executionId: string): void {
  const { state } = turn
  if (childrenOf(state)[executionId] === undefined) return
  forgetChild(state, executionId)
  if (state.steps.get('')?.status === 'completed' && mayComplete(state)) turn.commands.push({ type: 'complete' })
}

/** What a rollback makes of the children that are live when it happens. */
export interface Regrouped {
  /** Live at the checkpoint too, and waited for by no step: they go on. */
  readonly kept: readonly string[]
  /** Started by what no longer counts, or by a step that begins anew. */
  readonly superseded: readonly string[]
  /** The execution was out of service: the kept ones may have ended unheard. */
  readonly areDoubtful?: true
}

/** `present`: without its status nothing is said of doubts. */
export function regroup(
  present: Pick<ExecutionState, 'children'> & Partial<Pick<ExecutionState, 'status'>>,
  atCheckpoint: ExecutionState,
): Regrouped | null {
  const live = Object.keys(childrenOf(present))
  const before = childrenOf(atCheckpoint)
  if (live.length === 0 && Object.keys(before).length === 0) return null
  const stays = (id: string): boolean => before[id]?.isAwaited === false
  // One that ended by itself has let all go.
  const areDoubtful = live.length > 0 && present.status !== undefined && isFinished(present.status)
  const superseded = live.filter((id) => !stays(id))
  return { kept: live.filter(stays), superseded, ...(areDoubtful && { areDoubtful }) }
}

/** Folds what `regroup` found into the state at the checkpoint. */
export function regrouped(turn: Turn, { kept, superseded, areDoubtful }: Regrouped): void {
  const before = childrenOf(turn.state)
  turn.state.children = Object.fromEntries(kept.map((id) => [id, before[id]!]))
  if (areDoubtful) doubtAll(turn.state)
  for (const executionId of superseded) turn.commands.push({ type: 'tell_child', executionId, action: 'cancel' })
}
