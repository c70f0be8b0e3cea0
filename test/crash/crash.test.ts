/** Processes die one after another, each at a named point of the same execution; the last one takes it to its end. */
import t from 'tap'
import type { Point } from './points.ts'
import { deadAreSwept, dies, goesOn, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(1_800_000)
const parallel = { buffered: true }
/** Long enough for a process on a busy machine to come to its last point in one life, and no longer. */
const LAST_LEASE_MS = 6_000

/**
 * Every kind of flush: not sent, sent and not answered, answered and not acted on; and the moments between them. The points
 * of one life come in this order, whatever the timing: what may be committed `during` a flush does not come again, what is
 * asked from outside may come late, and after the rollback everything up to the end comes once more.
 */
const lives: Record<string, readonly Point[]> = {
  'around its steps and its end': [
    'after registerNode',
    'after claim',
    'before flush execution.started',
    'after flush execution.started',
    'before perform two',
    'after perform two',
    'after flush step.skipped',
    'during flush step.completed',
    'after flush step.started',
    'after perform once',
    'after flush timer.fired',
    'after flush execution.failed',
    'during flush execution.completed',
    'after flush execution.rolled_back',
    'after flush execution.completed',
  ],
  'around requests and branches': [
    'during claim',
    'during flush execution.started',
    'after flush step.entered',
    'before flush inbox',
    'after flush execution.pause_requested',
    'after flush execution.resumed',
    'before insertSnapshot',
    'before flush execution.parked',
    'after perform fan.left',
    'after flush condition.evaluated',
    'after flush execution.retried',
  ],
  'in the middle of a pause, of a rollback and of a snapshot': [
    'during flush execution.paused',
    'before flush execution.completed',
    'after read checkpoint',
    'before flush execution.rolled_back',
    'during flush execution.rolled_back',
    'after insertSnapshot',
    'during flush execution.parked',
  ],
  'around a pause and an at_most_once step': [
    'before flush step.completed',
    'during insertInboxKeyed',
    'after flush execution.paused',
    'before flush step.started',
    'during flush step.started',
    'before perform once',
    'after flush execution.parked',
  ],
  'with what was read and not answered': [
    'after insertInboxKeyed',
    'after read inbox',
    'during flush inbox',
    'after flush signal.received',
    'after flush step.completed',
    'during insertSnapshot',
    'after flush step.failed',
    'after flush inbox',
  ],
}

for (const [when, points] of Object.entries(lives)) {
  t.test(
    `killed ${points.length} times ${when}, an execution performs no completed step again`,
    parallel,
    async (t) => {
      const scene = await prepare(t)
      for (const [index, point] of points.entries()) {
        const isLast = index === points.length - 1
        await dies(t, scene, { DIE_AT: point, ...(isLast && { LEASE_MS: String(LAST_LEASE_MS) }) })
        // Whoever takes it to its end waits for the lease of the last that died.
        if (!isLast) await deadAreSwept(scene)
      }
      await goesOn(t, scene, LAST_LEASE_MS)
    },
  )
}
