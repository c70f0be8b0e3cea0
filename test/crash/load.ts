import type { JournalEvent } from '../../src/engine/core/event.ts'
import type { Cluster } from './cluster.ts'
import type { Random } from './random.ts'

/*
 * The load: executions of a mix of definitions, each driven by a client of its own over HTTP, which asks any node for what it
 * wants, keeps what it was promised, and repeats what it was not.
 */

const step = (id: string, config: object = {}, rest: object = {}): object => ({
  id,
  name: id,
  type: 'action',
  config: { type: 'ledger', ...config },
  ...rest,
})
const composite = (id: string, type: string, config: object): object => ({ id, name: id, type, config })
const retryPolicy = { maxAttempts: 6, initialIntervalMs: 150, jitter: 0.5 }

/** Their outputs depend on the input alone, whatever happens on the way. */
export const definitions: readonly { readonly name: string; readonly steps: readonly object[] }[] = [
  {
    name: 'fan',
    steps: [
      step('ask', { value: '{{ input.n }}' }),
      composite('fan', 'parallel', {
        steps: [
          step('left', { value: '{{ input.n + 1 }}' }),
          step('right', { value: '{{ input.n * 2 }}', failures: 1 }, { retryPolicy }),
          step('join', { value: '{{ steps.left.output + 10 }}' }, { dependencies: ['left'] }),
        ],
      }),
      step('sum', { value: '{{ data.left + data.right + data.join }}' }),
    ],
  },
  {
    name: 'choice',
    steps: [
      step('look', { value: '{{ input.n }}' }),
      composite('which', 'condition', {
        condition: 'input.n > 2',
        then: [step('large', { value: 'large' }), step('larger', { failures: 2 }, { retryPolicy })],
        else: [step('small', { value: 'small' })],
      }),
      step('maybe', { value: 'maybe' }, { when: 'input.n == 1' }),
      step('tell', { value: '{{ input.n }} is {{ steps.which.output }}' }),
    ],
  },
  {
    name: 'once',
    steps: [
      step('prepare', { value: '{{ input.n }}' }),
      step('charge', { value: 'charged {{ data }}' }, { delivery: 'at_most_once' }),
      step('ship', { value: '{{ data }}, shipped' }),
      step('thank', { value: '{{ data }}, thanked' }, { delivery: 'at_most_once' }),
    ],
  },
  {
    name: 'bulky',
    steps: [
      step('fetch', { size: 70_000 }),
      step('fetch-more', { size: 70_000 }),
      step('count', { value: '{{ steps.fetch.output.length + input.n }}' }),
      step('broken', { value: '{{ data }}', failures: 1 }),
    ],
  },
]

export const inputs = [0, 1, 2, 3, 4].map((n) => ({ n }))

/** Something that was asked of an execution and acknowledged. */
export interface Acknowledged {
  readonly what: 'pause' | 'resume' | 'cancel' | 'retry' | 'rollback' | 'signal'
  /** Stands in the event that answers it; a rollback has none. */
  readonly name: string
  readonly status: number
  readonly isReplay: boolean
}

/** An execution that was acknowledged, and all that was acknowledged to it. */
export interface Driven {
  readonly executionId: string
  readonly workflow: string
  readonly n: number
  readonly acknowledged: readonly Acknowledged[]
  readonly status: string
  readonly output: unknown
}

interface Resource {
  readonly id: string
  readonly status: string
  readonly output: unknown
  readonly lastSeq: number
}

/** What is done to an execution beside letting it run. */
const plots = ['nothing', 'pause', 'signal', 'rollback', 'cancel', 'pause', 'signal', 'rollback'] as const

/** One execution from its start to its end, undisturbed by its client when `isCalm`. */
export async function driveOne(
  cluster: Cluster,
  workflows: ReadonlyMap<string, string>,
  { name, random, isCalm = false }: { name: string; random: Random; isCalm?: boolean },
  which = random.of(definitions.map((definition) => definition.name)),
  { n } = random.of(inputs),
): Promise<Driven> {
  const pick = random.next
  const acknowledged: Acknowledged[] = []
  const started = await cluster.request('POST', '/api/workflows/executions', {
    body: { workflowId: workflows.get(which), triggeredBy: 'load', input: { n } },
    key: name,
    pick,
  })
  if (started.status > 201) throw new Error(`a start was answered ${started.status}: ${JSON.stringify(started.answer)}`)
  const { id } = started.answer as Resource
  const address = `/api/workflows/executions/${id}`
  const ask = async (what: Acknowledged['what'], nth: number | string): Promise<void> => {
    const key = `${what} ${nth}`
    let { status, isReplay } = await send(what, key)
    // 202: it is yet to come, and what is asked again under its key waits for it.
    while (status === 202 && what !== 'signal') ({ status, isReplay } = await send(what, key))
    if (status < 300) acknowledged.push({ what, name: key, status, isReplay })
    else if (status !== 409) throw new Error(`${key} of ${id} was answered ${status}`)
  }
  const send = (what: Acknowledged['what'], key: string) => {
    if (what === 'signal') {
      return cluster.request('POST', `${address}/signals/news`, { body: { name: key }, key: `${id} ${key}`, pick })
    }
    if (what === 'rollback') {
      const body = { checkpointIndex: 0, resume: true }
      return cluster.request('POST', `${address}/rollback`, { body, key: `${id} ${key}`, pick })
    }
    return cluster.request('PATCH', address, { body: { action: what, reason: key }, key: `${id} ${key}`, pick })
  }

  const plot = isCalm ? 'nothing' : random.of(plots)
  if (plot === 'pause' || plot === 'cancel') await ask(plot, 1)
  if (plot === 'signal') for (const nth of [1, 2, 3]) await ask('signal', nth)
  for (let hasRolledBack = plot !== 'rollback'; ; ) {
    const { answer } = await cluster.request('GET', `${address}?waitMs=1000`, { pick })
    const { status, output, lastSeq } = answer as Resource
    if (status === 'paused') await ask('resume', lastSeq)
    else if (status === 'failed') await ask('retry', lastSeq)
    else if (status === 'completed' && !hasRolledBack) {
      hasRolledBack = true
      await ask('rollback', 1)
    } else if (status === 'completed' || status === 'cancelled') {
      return { executionId: id, workflow: which, n, acknowledged, status, output }
    }
  }
}

/** What was acknowledged and is not in the journal, or is there twice. */
export function lostOf({ executionId, acknowledged }: Driven, history: readonly JournalEvent[]): string[] {
  return acknowledged.flatMap(({ what, name, status, isReplay }) => {
    const times = history.filter((event) => isAnswer(event, what, name)).length
    // What was answered before its repeat came may have been refused.
    const mayBeRefused = isReplay && what !== 'signal'
    const isRefused = history.some(
      ({ type, data }) => type === 'control.refused' && (data as { action?: string }).action === what,
    )
    if (times === 1 || (times === 0 && mayBeRefused && isRefused)) return []
    return [`${executionId}: ${name} was answered ${status} and is in the journal ${times} times`]
  })
}

const answers = {
  pause: 'execution.pause_requested',
  resume: 'execution.resumed',
  cancel: 'execution.cancelled',
  retry: 'execution.retried',
  rollback: 'execution.rolled_back',
  signal: 'signal.received',
} as const

function isAnswer({ type, data }: JournalEvent, what: Acknowledged['what'], name: string): boolean {
  if (type !== answers[what]) return false
  if (what === 'rollback') return true
  if (what === 'signal') return (data as { signal: { payload: { name: string } } }).signal.payload.name === name
  return (data as { reason?: string }).reason === name
}
