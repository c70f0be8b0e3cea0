import type { Test } from 'tap'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import type { EngineOptions } from '../../src/engine/engine-options.ts'
import { isUnavailable } from '../../src/repository/classify.ts'
import { type Calls, call, ended, journalOf, latch } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'

export interface Load {
  /** An engine on the database that something is done to. */
  readonly start: (calls: Calls, options: EngineOptions) => Promise<WorkflowEngine>
  /** Does it; what resolves is mended. Gets the engines. */
  readonly breaks: (nodes: readonly WorkflowEngine[]) => Promise<unknown>
}

const executions = 100
const steps = ['a', 'b', 'c', 'd']

/**
 * 100 executions of four steps on two nodes; when a third of the steps were performed, something breaks. Afterwards every
 * execution that was answered for is completed, every step was performed once, and no history has a hole.
 */
export async function breakUnderLoad(t: Test, { start, breaks }: Load): Promise<void> {
  stayAlive(t)
  const performed = new Map<string, number>()
  const halfway = latch()
  const work = ({ idempotencyKey }: { idempotencyKey: string }) => {
    performed.set(idempotencyKey, (performed.get(idempotencyKey) ?? 0) + 1)
    if (performed.size === (executions * steps.length * 3) / 8) halfway.open()
    return null
  }
  const calls = Object.fromEntries(steps.map((id) => [id, work]))
  // A lease that no slow machine outlives: what is performed twice was performed twice by the fault.
  const nodes = [await start(calls, { leaseMs: 120_000 }), await start(calls, { leaseMs: 120_000 })]
  const workflow = await nodes[0]!.createWorkflow({ name: 'load', steps: steps.map((id) => call(id)) })
  const starts = Array.from({ length: executions }, (_, index) =>
    startOn(nodes[index % 2]!, workflow.id, `start ${index}`),
  )
  await halfway.promise
  t.ok(performed.size < executions * steps.length, 'it is in the middle')
  const brokenAt = performance.now()
  await breaks(nodes)
  const mendedAt = performance.now()
  const ids = await Promise.all(starts)
  t.equal(new Set(ids).size, executions)
  const ends = await Promise.all(ids.map((id) => patiently(() => ended(nodes[0]!, id))))
  const finishedAt = performance.now()
  t.comment(
    `the fault took ${Math.round(mendedAt - brokenAt)} ms; all ended ${Math.round(finishedAt - mendedAt)} ms after`,
  )
  t.same(new Set(ends.map(({ status }) => status)), new Set(['completed']))
  t.equal(performed.size, executions * steps.length)
  t.same(
    [...performed].filter(([, times]) => times !== 1),
    [],
    'no step was performed twice',
  )
  const journals = await Promise.all(ids.map((id) => journalOf(nodes[1]!, id)))
  t.notOk(
    journals.some((journal) => journal.some(({ seq }, index) => seq !== index + 1)),
    'no seq has a hole',
  )
}

/** The engine's timers keep no process alive, and a broken database leaves it no connection that would. */
export function stayAlive(t: Test): void {
  const alive = setInterval(() => {}, 60_000)
  t.teardown(() => clearInterval(alive))
}

const startOn = (node: WorkflowEngine, workflowId: string, idempotencyKey: string): Promise<string> =>
  patiently(() => node.requestStart({ workflowId, idempotencyKey })).then(({ execution }) => execution.id)

/** As a client would by HTTP's rules: what was answered with 503 is sent again, a write under its key. */
export async function patiently<Answer>(request: () => Promise<Answer>): Promise<Answer> {
  let answer: { is: Answer } | null = null
  await until('a request is answered with more than 503', async () => {
    answer = await request().then(
      (is) => ({ is }),
      (error) => {
        if (isUnavailable(error) || error.status === 503) return null
        throw error
      },
    )
    return answer !== null
  })
  return answer!.is
}
