import type { Append } from '../repository/append.ts'
import type { ExecutionRow } from '../repository/execution-row.ts'
import type { AttemptOutcome } from './attempt.ts'
import type { Log } from './log.ts'
import type { AttemptSubject } from './step-attempt.ts'

/** Where the engine tells what it does, for metrics and traces; it never waits for the answer. */
export interface Observer {
  /** Something of an execution was committed: its events, and its row's image where that changed. */
  committed(row: ExecutionRow, append: Append): void
  flushed(flush: { readonly rows: number; readonly bytes: number; readonly durationMs: number }): void
  /** An attempt begins. Null: nobody traces it. */
  attemptStarted(subject: AttemptSubject): AttemptTrace | null
  attemptEnded(subject: AttemptSubject, outcome: AttemptOutcome): void
}

/** The trace of one attempt. */
export interface AttemptTrace {
  /** W3C trace context that goes out with the action's requests. */
  readonly traceparent: string
  /** Runs the action with the attempt's span as the active one. */
  run<T>(perform: () => T): T
  /** null: it was aborted. */
  end(outcome: AttemptOutcome | null): void
}

/** Nobody watches. */
export const noObserver: Observer = {
  committed() {},
  flushed() {},
  attemptStarted: () => null,
  attemptEnded() {},
}

/** An observer may be an embedding program's own: what it throws is logged and hurts no execution. */
export function guarded(observer: Observer, log: Log): Observer {
  const guard = <T>(call: () => T, otherwise: T): T => {
    try {
      return call()
    } catch (error) {
      log.error({ err: error }, 'the observer threw')
      return otherwise
    }
  }
  return {
    committed: (row, append) => guard(() => observer.committed(row, append), undefined),
    flushed: (flush) => guard(() => observer.flushed(flush), undefined),
    attemptStarted: (subject) => guard(() => observer.attemptStarted(subject), null),
    attemptEnded: (subject, outcome) => guard(() => observer.attemptEnded(subject, outcome), undefined),
  }
}
