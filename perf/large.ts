/**
 * What large data costs: outputs of 100 KB, and a state of 5 MB of them that grows, does small steps, is overwritten, rolled back,
 * read over HTTP on a node that has never seen it, and recovered there after a `kill -9`; once as it is and once with
 * `checkpoints.compact`. Each phase says how many bytes of WAL a byte of output took (goal: at most 2) and for how long an event
 * blocked the loop of a service's process (goal: at most 50 ms). `node perf/large.ts`; `--profile <folder>` writes a .cpuprofile
 * for each phase, `--quick` leaves the second variant out, `--json`.
 */
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { connect, walBytes, withDatabase } from './database.ts'
import { echoStep, echoSteps, incompressible } from './engine-program.ts'
import { type ProbedService, startProbed } from './probed-service.ts'
import { Clients, times } from './service.ts'

const { values } = parseArgs({
  options: {
    profile: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const OUTPUT_BYTES = 100_000
/** Of the state: 5 MB. */
const OUTPUTS = 50
const SMALL_STEPS = 100
const OVERWRITES = 100
const GOAL = { walPerByte: 2, loopMs: 50 }
/** A node that is killed is taken for dead after that. */
const settings = { CAIRN_LEASE_MS: '2000' }

interface Phase {
  readonly phase: string
  readonly tookMs: number
  readonly outputBytes: number
  readonly walBytes: number
  /** WAL a byte of output; null where next to nothing was put out. */
  readonly walPerByte: number | null
  /** The longest time for which one event blocked the loop, and how late timers were otherwise. */
  readonly loopMaxMs: number
  readonly loopP99Ms: number
  readonly loopUtilization: number
  /** Of the service's process, all threads. */
  readonly cpuMs: number
  readonly rssMiB: number
}

const INPUT = '{{ input }}'
const wait = (signal: string): object => ({ id: signal, type: 'wait_for_signal', config: { signal } })
const overwrite = { id: 'overwrite', type: 'set', config: { variables: { current: INPUT } } }
const outputs = Array.from({ length: OUTPUTS }, (_, i) => echoStep(`large-${i}`, INPUT))

const resourceOf = (id: string): string => `/api/workflows/executions/${id}`

const definitionOf = (name: string, compact: boolean): object => ({
  name,
  variables: { current: null },
  checkpoints: { keep: 1_000, compact },
  output: 'done',
  steps: [
    ...outputs,
    wait('small'),
    ...echoSteps(SMALL_STEPS, 'small'),
    wait('overwrite-it'),
    {
      id: 'loop',
      type: 'while',
      config: { condition: `index < ${OVERWRITES}`, maxIterations: 1_000, steps: [overwrite] },
    },
    wait('hold'),
    { id: 'held', type: 'action', config: { type: 'echo', delayMs: 3_600_000 } },
  ],
})

const phases: Phase[] = []
for (const compact of values.quick ? [false] : [false, true]) {
  await withDatabase('large', (url) => measure(url, compact))
}
const most = (of: (phase: Phase) => number): number => Math.max(...phases.map(of))
const sum = (of: (phase: Phase) => number): number => phases.reduce((all, phase) => all + of(phase), 0)
const total = {
  walPerByte: sum((one) => one.walBytes) / sum((one) => one.outputBytes),
  loopMaxMs: most((one) => one.loopMaxMs),
}
if (values.json) console.log(JSON.stringify({ program: 'large', goal: GOAL, total, figures: phases }))
else {
  console.table(phases.map(rowOf))
  console.log(
    `${total.walPerByte.toFixed(2)} bytes written a byte put out (goal ${GOAL.walPerByte}); ` +
      `the loop stood still for ${Math.round(total.loopMaxMs)} ms at most (goal ${GOAL.loopMs})`,
  )
}

async function measure(databaseUrl: string, compact: boolean): Promise<void> {
  const database = await connect(databaseUrl)
  const first = await startProbed(databaseUrl, settings)
  const clients = new Clients(first.url, 4)
  const input = incompressible(OUTPUT_BYTES)

  /** Notes what happens to the service's process and to the database while `act` goes on. */
  const phase = async (name: string, service: ProbedService, outputBytes: number, act: () => Promise<unknown>) => {
    const title = compact ? `${name}, compact` : name
    console.error(title)
    if (values.profile !== undefined) await service.startProfile()
    await service.vitals(true)
    const walBefore = await walBytes(database)
    const startedAt = performance.now()
    await act()
    const tookMs = performance.now() - startedAt
    const written = (await walBytes(database)) - walBefore
    const { loopMaxMs, loopP99Ms, loopUtilization, cpuMs, rssBytes } = await service.vitals()
    if (values.profile !== undefined)
      await service.stopProfile(path.join(values.profile, `${phases.length} ${title.replaceAll('/', ' ')}.cpuprofile`))
    phases.push({
      ...{ phase: title, tookMs, outputBytes, walBytes: written },
      walPerByte: outputBytes < OUTPUT_BYTES ? null : written / outputBytes,
      ...{ loopMaxMs, loopP99Ms, loopUtilization, cpuMs, rssMiB: Math.round(rssBytes / 1024 ** 2) },
    })
  }
  /** Asks the database, so that nobody asks the services meanwhile. */
  const until = async (condition: string, ...given: unknown[]): Promise<void> => {
    for (;;) {
      const { rows } = await database.query(`SELECT ${condition} AS "isSo"`, given)
      if (rows[0].isSo) return
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const hasStatus = (ids: readonly string[], status: string): Promise<void> =>
    until(
      '$1 = (SELECT count(*)::int FROM workflow_executions WHERE id = ANY($2::uuid[]) AND status = $3)',
      ...[ids.length, ids, status],
    )
  const hasEvents = (id: string, type: string, count: number): Promise<void> =>
    until('$3 <= (SELECT count(*) FROM execution_events WHERE execution_id = $1 AND type = $2)', ...[id, type, count])

  try {
    if (values.profile !== undefined) mkdirSync(values.profile, { recursive: true })
    const ten = await clients.createWorkflow({ name: 'ten', output: 'done', steps: outputs.slice(0, 10) })
    const run = async (count: number, atOnce: number) => {
      const ids = await times(count, atOnce, () => clients.start(ten, { input }))
      await hasStatus(ids, 'completed')
    }
    // Compiler and caches.
    await run(5, 5)
    await phase('10 outputs of 100 KB, 1 at a time', first, 100 * OUTPUT_BYTES, () => run(10, 1))
    await phase('10 outputs of 100 KB, 4 at a time', first, 400 * OUTPUT_BYTES, () => run(40, 4))

    const workflowId = await clients.createWorkflow(definitionOf('large', compact))
    let id = ''
    let parkings = 0
    const hasParked = () => hasEvents(id, 'execution.parked', ++parkings)
    /** It goes on after the signal, loaded anew, and parks again. */
    const goOn = async (name: string) => {
      await clients.send('POST', `${resourceOf(id)}/signals/${name}`)
      await hasParked()
    }
    await phase('a state grows to 5 MB, and parks', first, OUTPUTS * OUTPUT_BYTES, async () => {
      id = await clients.start(workflowId, { input })
      await hasParked()
    })
    await phase('it wakes and does 100 small steps', first, 500, () => goOn('small'))
    await phase('100 KB of it are overwritten 100 times', first, OVERWRITES * OUTPUT_BYTES, () => goOn('overwrite-it'))
    await phase('it is rolled back, and does 80 steps again', first, 400, async () => {
      await clients.send('POST', `${resourceOf(id)}/rollback`, { checkpointIndex: OUTPUTS + 20, resume: true })
      await hasParked()
    })
    await phase('100 KB of it are overwritten 100 times more', first, OVERWRITES * OUTPUT_BYTES, () =>
      goOn('overwrite-it'),
    )
    await clients.send('POST', `${resourceOf(id)}/signals/hold`)
    await hasStatus([id], 'running')
    await readAndRecover(id)
  } finally {
    await clients.close()
    await first.stop()
    await database.end()
  }

  /** A second node reads what the first one runs, and takes it over when that is killed. */
  async function readAndRecover(id: string): Promise<void> {
    const second = await startProbed(databaseUrl, settings)
    const reader = new Clients(second.url, 1)
    const resource = resourceOf(id)
    try {
      for (const part of [
        'progress',
        'progress',
        'steps',
        'checkpoints',
        `checkpoints/${OUTPUTS}`,
        'events?limit=200',
      ]) {
        await phase(`GET ${part} of another node`, second, 0, () => reader.get(`${resource}/${part}`))
      }
      await phase('GET progress of its own node', first, 0, () => clients.get(`${resource}/progress`))
      await phase('GET a checkpoint of its own node', first, 0, () => clients.get(`${resource}/checkpoints/${OUTPUTS}`))
      await phase('a WebSocket from the beginning', second, 0, async () => {
        const { promise, resolve } = Promise.withResolvers<void>()
        const { lastSeq } = await reader.get<{ lastSeq: number }>(`${resource}/progress`)
        const socket = await reader.follow(id, (text) => {
          const { type, seq } = JSON.parse(String(text)) as { type: string; seq?: number }
          if (type === 'event' && seq === lastSeq) resolve()
        })
        await promise
        socket.close()
      })
      await phase('its node is killed, another one recovers it', second, 0, async () => {
        await first.kill()
        await hasEvents(id, 'execution.recovered', 1)
      })
      await phase('it is cancelled', second, 0, () => reader.send('PATCH', resource, { action: 'cancel' }))
    } finally {
      await reader.close()
      await second.stop()
    }
  }
}

function rowOf({ phase, tookMs, outputBytes, walBytes, walPerByte, ...one }: Phase) {
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10
  return {
    phase,
    ms: Math.round(tookMs),
    'output MB': megabytes(outputBytes),
    'WAL MB': megabytes(walBytes),
    bytes: walPerByte === null ? '' : Math.round(walPerByte * 100) / 100,
    'loop max ms': Math.round(one.loopMaxMs * 10) / 10,
    'loop p99 ms': Math.round(one.loopP99Ms * 10) / 10,
    'CPU ms': Math.round(one.cpuMs),
    'busy %': Math.round(one.loopUtilization * 100),
    'RSS MiB': one.rssMiB,
  }
}
