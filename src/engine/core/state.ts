import type { Json, JsonObject } from '../../definition/json.ts'
import type { ParentClosePolicy } from '../../definition/plan.ts'
import type { Aftermath, Completion } from './aftermath.ts'
import type { ApprovalDecision, ExecutionError, Parent, Signal, StepResult } from './event.ts'
import type { Regaining, Slot } from './slots.ts'

/**
 * The one integer that names event kinds, fold rules and snapshot shape; an execution keeps its own for life. New executions
 * take the oldest that has today's rules, so that older nodes can run them too, or a newer one that their definition needs.
 *
 * 1: action, condition, parallel, sequential
 * 2: the other types of steps, a parallel's join and onFailure, compensations and the workflow's onFailure
 */
export const FORMAT = 1

/** The formats that this release can fold, oldest first. */
export const FORMATS: readonly number[] = [1, 2]

export const executionStatuses = [
  'pending',
  'running',
  'waiting',
  'paused',
  'completed',
  'failed',
  'cancelled',
] as const
export type ExecutionStatus = (typeof executionStatuses)[number]

export const stepStatuses = ['pending', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled'] as const
export type StepStatus = (typeof stepStatuses)[number]

/** A journal position right after a successful leaf step of the effective history. */
export interface Checkpoint {
  readonly index: number
  readonly seq: number
  readonly path: string
  readonly stepId: string
  readonly at: number
}

/**
 * Where `data` comes from: '' is the execution's input, otherwise the path of the step whose output it is. A reference, not
 * a copy: outputs are held once, and snapshots stay as small as the outputs.
 */
export type DataRef = string

/** A composite's place in its children. */
export type Frame =
  | {
      readonly type: 'sequence'
      branch: 'steps' | 'then' | 'else'
      position: number
      data: DataRef
      /** Paths of the steps in it that are completed by their joins, while what is left in them runs on. */
      rest?: readonly string[]
    }
  | {
      readonly type: 'parallel'
      /** Children that have not ended, and those of them that are under way. */
      open: number
      active: number
      /** Positions of the children whose dependencies are completed, in the order they became so; the first `launched` have begun. */
      ready: number[]
      launched: number
      /** By position: dependencies that are not completed yet. */
      blockers: number[]
      /** With a join or a policy of its own: children that are completed, and the first error of those that failed. */
      completed?: number
      error?: ExecutionError
      /** With a join by condition: children that have failed. */
      failed?: number
      /** Positions of the children that were completed when the join was reached, if the rest runs on. */
      arrived?: readonly number[]
    }
  /** The cases that run, by label, and how many have not ended. */
  | { readonly type: 'choice'; open: number; readonly labels: readonly string[] }
  /** Branches that have not ended, the one that has won by its label, the first error of those that dropped out. */
  | { readonly type: 'race'; open: number; winner: string | null; error?: ExecutionError }
  /** Since its deadline has passed: whether the steps for that are under way. */
  | { readonly type: 'approval'; phase: 'escalating' | 'over' }
  /** How many iterations have ended, and what flows from the last of them. */
  | { readonly type: 'loop'; index: number; data: DataRef }
  | {
      readonly type: 'each'
      /** Empty once all have ended. */
      items: Json[]
      total: number
      /** Index of the item that begins next; those that are under way. */
      next: number
      active: number[]
      ended: number
      /** Failures that were tolerated. */
      failed: number
      /** What `collect` asks for. */
      outputs: Json[]
      /** How many had ended when the join was reached. */
      joined?: number
      /** While nobody knows how many items there will be. */
      growth?: {
        /** Whether more may come. */
        open: boolean
        /** Index of the first of `items`: those of pages that are over are gone. */
        offset: number
        /** Pages that have been begun, whether the last of them is under way, and what it gets as `cursor`. */
        pages: number
        isPaging: boolean
        cursor: Json
        /** How much of the step's weight is counted, and how much will be when the items known now have ended. */
        counted: number
        goal: number
      }
    }
  /** `error`: what no catch has taken, or the one that the catch under way has. */
  | { readonly type: 'try'; phase: 'steps' | 'catch' | 'finally'; error: ExecutionError | null; data: DataRef }

/** One step instance that has been reached. Steps that were never reached have none. */
export interface StepState {
  readonly id: string
  readonly path: string
  status: StepStatus
  /** 1 for the first attempt; 0 before it and for steps without attempts. */
  attempt: number
  /** The `data` that it sees. */
  data: DataRef
  /** True once `when` was found true, so that recovery does not ask again. */
  entered: boolean
  startedAt: number | null
  /** Start of the first attempt, for maxElapsedMs. */
  firstStartedAt: number | null
  completedAt: number | null
  /** When the retry that it waits for, or a composite's timeout, is due. */
  dueAt: number | null
  output?: Json
  meta?: StepResult['meta']
  error?: ExecutionError
  frame?: Frame
  /** The answer to its `decide` or look-up is outstanding. */
  deciding?: true
  /** The execution that a sub_workflow has started. */
  child?: string
  /** All in it is over; what its `output` comes to is being asked. */
  concluding?: true
  /** It is completed by its join, and what is left in it runs on. */
  runsOn?: true
  /** The approval that it has asked for. */
  approval?: string
  /** How that was decided, and when (ms since 1970), until its end is on record. */
  decision?: Omit<ApprovalDecision, 'requestId'> & { readonly decidedAt: number }
  /** seq after which a signal must have come to be for it; of a composite that can be compensated where it began. */
  since?: number
  /** What it holds or waits for before it begins. */
  slot?: Slot
}

/** A signal that no step has taken yet, and where it stands in the journal; absent where a release before this one wrote it. */
export type KeptSignal = Signal & { readonly seq?: number }

/** An execution that this one has started. */
export interface Child {
  /** The step that started it. */
  readonly path: string
  /** The step goes on when it ends. */
  readonly isAwaited: boolean
  readonly policy: ParentClosePolicy
  /** It may have ended while nobody would hear of it. */
  readonly isDoubtful?: true
}

/** The state of one execution: what its effective history folds to. Plain data plus one Map; see snapshot.ts for its JSON. */
export interface ExecutionState {
  readonly executionId: string
  readonly format: number
  status: ExecutionStatus
  requested: 'pause' | 'cancel' | null
  /** The request that asked for the pause, answered when it takes effect. */
  pauseRequest: { requestId?: string; reason?: string } | null
  generation: number
  /** seq and time of the last event folded. */
  seq: number
  at: number
  readonly input: Json
  variables: JsonObject
  startedAt: number | null
  completedAt: number | null
  /** When the execution's timeout is due; null without one, and while paused (then timeoutLeftMs holds the rest). */
  deadline: number | null
  timeoutLeftMs: number | null
  /** Since when it is paused. */
  pausedAt: number | null
  output: Json
  error: ExecutionError | null
  steps: Map<string, StepState>
  /** Attempts that are under way as far as the journal knows. */
  runningAttempts: number
  completedLeaves: number
  /** Of leaves that may be completed again, in a loop or since something begins anew: those that are counted, by number. */
  counted?: Record<number, true>
  /** Sum of the weights of all steps that ended well or were skipped, 0..1. */
  progress: number
  percentage: number
  checkpoints: { next: number; recent: Checkpoint[]; root: Checkpoint[] }
  mailbox: KeptSignal[]
  /** seq of the last event that is no refusal: what a caller's `seq` guard is held against. */
  changedSeq: number
  /** Takeovers since the last step event; five are a crash loop. */
  recoveries: number
  /** When an execution that has not started yet is to start. */
  startAt: number | null
  /** Paths of the steps that wait for a signal; may name some that do no longer. */
  waiters?: string[]
  /** Completed steps that would be compensated, in the order in which they were. */
  completions?: Completion[]
  /** Since the root has failed. */
  aftermath?: Aftermath
  /** seq of the first step that was compensated: nothing goes on from what was completed then or later. */
  compensatedFrom?: number
  /** Executions that this one has started, as far as they have not ended nor been let go; by their ids. */
  children?: Record<string, Child>
  /** Approvals that are open: the paths of their steps, by their ids. */
  approvals?: Record<string, string>
  /** What it holds, or waits for before it starts. */
  slot?: Slot
  /** It is held until it has its slots again; then this follows. */
  regaining?: Regaining
  /** Who started it, when it is a sub-workflow. */
  parent?: Parent
}

export const isFinished = (status: ExecutionStatus): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled'

/** The state before the first event. */
export function createState(init: {
  executionId: string
  format: number
  input: Json
  variables: JsonObject
}): ExecutionState {
  return {
    executionId: init.executionId,
    format: init.format,
    status: 'pending',
    requested: null,
    pauseRequest: null,
    generation: 0,
    seq: 0,
    at: 0,
    input: init.input,
    variables: init.variables,
    startedAt: null,
    completedAt: null,
    deadline: null,
    timeoutLeftMs: null,
    pausedAt: null,
    output: null,
    error: null,
    steps: new Map(),
    runningAttempts: 0,
    completedLeaves: 0,
    progress: 0,
    percentage: 0,
    checkpoints: { next: 0, recent: [], root: [] },
    mailbox: [],
    changedSeq: 0,
    recoveries: 0,
    startAt: null,
  }
}

/** Attempts carry the same key through retries and recoveries; a rollback begins a new generation with new keys. */
export const idempotencyKeyOf = (
  { executionId, generation }: Pick<ExecutionState, 'executionId' | 'generation'>,
  path: string,
): string => `${executionId}/${generation}/${path}`

/** The path of a child: the root's path is '', so its children's are their ids. */
export const childPath = (parent: string, id: string): string => (parent === '' ? id : `${parent}.${id}`)

/** The path of a composite's body: a case, an iteration, a catch. */
export const bodyPath = (owner: string, label: string | number): string => `${owner}[${label}]`

/** The path of the composite that a step stands in, or of the owner of a body; '' for the root's children. */
export const parentPath = (path: string): string =>
  path.slice(0, Math.max(0, path.lastIndexOf(path.endsWith(']') ? '[' : '.')))

/** The id of the step at the path. */
export const stepIdOf = (path: string): string => path.slice(path.lastIndexOf('.') + 1)

/** Which body of its owner stands at the path. */
export const labelOf = (path: string): string => path.slice(path.lastIndexOf('[') + 1, -1)
