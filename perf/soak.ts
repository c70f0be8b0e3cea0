/**
 * Half an hour of mixed load at a steady rate on a service in a process of its own: executions of ten steps that sleep, wait for
 * signals, are retried, fail and are compensated, are paused, cancelled and rolled back, loops, parallel branches, children, slots
 * and rate limits, beside reads, WebSockets and SSE streams that come and go. Retention removes what has ended, so that nothing may
 * grow: memory, tables, indexes, connections, handles. The last third is held against the first one; before that comes a warm-up
 * until the cache of the states that were read is full (64 MiB by its own count, src/engine/history.ts).
 *
 * `node perf/soak.ts`; `--minutes` 30 after a `--warm-up` of 12, `--rate` 30 executions a second, `--quick` (a minute, too short for
 * a verdict: ends with 0), `--json`. Ends with 1 when something grows, or when the service did not do what it was asked.
 */
import os from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type pg from 'pg'
import { connect, withDatabase } from './database.ts'
import { startProbed } from './probed-service.ts'
import { Clients } from './service.ts'
import { SoakLoad } from './soak-load.ts'
import { type Sample, type Trend, trendOf } from './trend.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    'warm-up': { type: 'string', default: '12' },
    rate: { type: 'string', default: '30' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})
const minutes = values.quick ? 1 : Number(values.minutes)
const sampleMs = values.quick ? 2_000 : 5_000
/** How long an execution is kept after its end. The language takes 14 minutes at least: the definitions are changed by hand. */
const keptMs = values.quick ? 5_000 : 60_000
/** Until as much is removed as is started: what removes comes every 15 s, and spares what is younger than two of its rounds. */
const warmUpMs = values.quick ? keptMs + 40_000 : Number(values['warm-up']) * 60_000

const MiB = 1024 ** 2
/** What a figure may gain in any case, by its unit. */
const floors = { MiB: 1, KiB: 256, rows: 500, count: 3, ms: 10 } as const

interface Figure {
  readonly name: string
  readonly unit: keyof typeof floors
  readonly value: number
}

interface Course extends Trend {
  readonly name: string
  readonly unit: Figure['unit']
  readonly samples: readonly Sample[]
}

const { courses, done } = await withDatabase('soak', soak)
const grown = courses.filter(({ verdict }) => verdict === 'grows')
if (values.json)
  console.log(JSON.stringify({ program: 'soak', minutes, rate: Number(values.rate), ...done, figures: courses }))
else {
  console.log(
    `${minutes} minutes, ${JSON.stringify(done)}; ${os.cpus().length} × ${os.cpus()[0]?.model}, Node ${process.versions.node}, ` +
      new Date().toISOString().slice(0, 10),
  )
  const small = courses.filter(
    ({ name, unit, verdict, last }) => verdict !== 'grows' && /^(table|index|dead)/.test(name) && last < floors[unit],
  )
  console.table(courses.filter((course) => !small.includes(course)).map(rowOf))
  console.log(
    `${small.length} more of tables and indexes, below ${floors.KiB} KiB and ${floors.rows} dead rows, do not grow`,
  )
  console.log(grown.length === 0 ? 'nothing grows' : `grows: ${grown.map(({ name }) => name).join(', ')}`)
}
// A minute is less than tables need from one vacuum to the next, and caches to be full.
if ((grown.length > 0 && !values.quick) || Object.keys(done.faults).length > 0) process.exitCode = 1

async function soak(databaseUrl: string) {
  const service = await startProbed(databaseUrl)
  const clients = new Clients(service.url, 64)
  const database = await connect(databaseUrl)
  const load = new SoakLoad(clients, service.url)
  const seen = new Map<string, { unit: Figure['unit']; samples: Sample[] }>()
  try {
    await load.prepare()
    await database.query(
      `UPDATE workflow_versions
       SET definition = jsonb_set(definition::jsonb, '{retention}', jsonb_build_object('days', $1::float8 / 86400000))::json`,
      [keptMs],
    )
    load.start(Number(values.rate))
    await delay(warmUpMs)
    await service.vitals()
    const startedAt = performance.now()
    const samples = Math.round((minutes * 60_000) / sampleMs)
    for (let i = 1; i <= samples; i++) {
      await delay(Math.max(0, startedAt + i * sampleMs - performance.now()))
      const at = performance.now() - startedAt
      for (const { name, unit, value } of [...(await processFigures()), ...(await databaseFigures(database))]) {
        const course = seen.get(name) ?? { unit, samples: [] }
        course.samples.push({ at, value })
        seen.set(name, course)
      }
      if (i % 12 === 0) console.error(`${Math.round(at / 60_000)} of ${minutes} minutes, ${load.started} executions`)
    }
    await load.stop()
  } finally {
    await clients.close()
    await service.stop()
    await database.end()
  }
  const courses: Course[] = [...seen].map(([name, { unit, samples }]) => ({
    ...{ name, unit },
    ...trendOf(samples, floors[unit]),
    samples,
  }))
  const { started, reads, sockets, faults } = load
  return { courses, done: { started, reads, sockets, faults: Object.fromEntries(faults) } }

  async function processFigures(): Promise<Figure[]> {
    const { rssBytes, heapBytes, externalBytes, loopP50Ms, loopP99Ms, handles, cpuMs } = await service.vitals(true)
    return [
      { name: 'RSS', unit: 'MiB', value: rssBytes / MiB },
      { name: 'heap after a collection', unit: 'MiB', value: heapBytes / MiB },
      { name: 'buffers', unit: 'MiB', value: externalBytes / MiB },
      { name: 'event loop delay p50', unit: 'ms', value: loopP50Ms },
      { name: 'event loop delay p99', unit: 'ms', value: loopP99Ms },
      { name: 'CPU a second', unit: 'ms', value: (cpuMs * 1000) / sampleMs },
      { name: 'open handles', unit: 'count', value: Object.values(handles).reduce((sum, count) => sum + count, 0) },
    ]
  }
}

async function databaseFigures(database: pg.Client): Promise<Figure[]> {
  const one = async (text: string): Promise<number> => Number((await database.query(text)).rows[0].value)
  const tables = await database.query(
    `SELECT relname AS name, pg_table_size(relid)::float8 AS bytes, n_dead_tup::float8 AS dead
     FROM pg_stat_user_tables ORDER BY relname`,
  )
  const indexes = await database.query(
    'SELECT indexrelname AS name, pg_relation_size(indexrelid)::float8 AS bytes FROM pg_stat_user_indexes ORDER BY indexrelname',
  )
  return [
    {
      name: 'connections',
      unit: 'count',
      value: await one('SELECT count(*) AS value FROM pg_stat_activity WHERE datname = current_database()'),
    },
    {
      name: 'executions that live',
      unit: 'rows',
      value: await one(
        "SELECT count(*) AS value FROM workflow_executions WHERE status NOT IN ('completed', 'failed', 'cancelled')",
      ),
    },
    { name: 'executions', unit: 'rows', value: await one('SELECT count(*) AS value FROM workflow_executions') },
    ...tables.rows.flatMap(({ name, bytes, dead }): Figure[] => [
      { name: `table ${name}`, unit: 'KiB', value: bytes / 1024 },
      { name: `dead in ${name}`, unit: 'rows', value: dead },
    ]),
    ...indexes.rows.map(({ name, bytes }): Figure => ({ name: `index ${name}`, unit: 'KiB', value: bytes / 1024 })),
  ]
}

function rowOf({ name, unit, first, last, noise, perHour, verdict }: Course) {
  const tenths = (figure: number): number => Math.round(figure * 10) / 10
  return {
    figure: name,
    unit,
    'first third': tenths(first),
    'last third': tenths(last),
    noise: tenths(noise),
    'an hour': tenths(perHour),
    verdict,
  }
}
