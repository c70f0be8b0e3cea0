import type { Observer } from '../engine/observer.ts'
import type { Metrics } from './metrics.ts'
import type { Spans } from './spans.ts'

/** What the engine tells goes to the metrics, and to the spans when traces are on; `spans` null costs nothing an attempt. */
export function createObserver(metrics: Metrics, spans: Spans | null): Observer {
  return {
    committed(row, append) {
      metrics.committed(append)
      spans?.committed(row, append)
    },
    flushed: (flush) => metrics.flushed(flush),
    attemptStarted: (subject) => (spans === null ? null : spans.attemptStarted(subject)),
    attemptEnded: (subject, outcome) => metrics.attemptEnded(subject, outcome),
  }
}
