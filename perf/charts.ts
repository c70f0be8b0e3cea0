/**
 * `npm run perf:charts`: measures what perf/README.md shows as charts, writes the figures to perf/charts/*.json and draws them as
 * SVGs beside those. `--only throughput`, `latency`, `growth` or `sharing`; `--runs` 3 of the first two, of which the median is
 * shown; `--draw` draws again what was measured before; `--quick` shows that it works, and is not to be kept.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type Charted, charts, type Origin } from './chart-pages.ts'
import { runProgram } from './child.ts'
import { connect, openServer } from './database.ts'
import { draw } from './draw.ts'
import type { Report } from './report.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    runs: { type: 'string', default: '3' },
    draw: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
})
const runs = values.quick ? 1 : Number(values.runs)
const quick = values.quick ? ['--quick'] : []
const folder = path.join(import.meta.dirname, 'charts')

const CONCURRENCY = [1, 3, 10, 30, 100, 300, 1_000, 3_000]
const SHARES = [0.02, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9]

type Measure<K extends keyof Charted> = (serverUrl: string) => Promise<Charted[K]>

/** How each chart's figures are come by. Limit and engine take turns, so that whatever else the machine does hits both. */
const measures: { readonly [K in keyof Charted]: Measure<K> } = {
  async throughput(serverUrl) {
    const figures: Charted['throughput'][number][] = []
    for (const atOnce of CONCURRENCY)
      for (let run = 0; run < runs; run++)
        for (const program of ['limit.ts', 'throughput.ts']) {
          console.error(`${program}, ${atOnce} at once`)
          const report = await runProgram<Report>(program, ['--at-once', String(atOnce), ...quick], serverUrl)
          figures.push(...report.figures.map((one) => ({ ...one, program: report.program })))
        }
    return figures
  },

  async latency(serverUrl) {
    const shares = SHARES.flatMap((share) => ['--share', String(share)])
    const figures: Charted['latency'][number][] = []
    for (let run = 0; run < runs; run++)
      for (const program of ['limit', 'engine']) {
        console.error(`latency of ${program}`)
        figures.push(await runProgram('open-loop.ts', ['--program', program, ...shares, ...quick], serverUrl))
      }
    return figures
  },

  async growth(serverUrl) {
    return (await runProgram<{ figures: Charted['growth'] }>('growth.ts', quick, serverUrl)).figures
  },

  async sharing(serverUrl) {
    const nodes = await runProgram<{ figures: Charted['sharing']['nodes'] }>('nodes.ts', quick, serverUrl)
    const subscribers: Charted['sharing']['subscribers'][number][] = []
    for (const sockets of values.quick ? ['10', '100'] : ['10', '100', '1000']) {
      console.error(`${sockets} subscribers`)
      const report = await runProgram<{ figures: Charted['sharing']['subscribers'] }>(
        'subscribers.ts',
        ['--sockets', sockets, '--only', 'each'],
        serverUrl,
      )
      subscribers.push(...report.figures)
    }
    return { nodes: nodes.figures, subscribers }
  },
}

mkdirSync(folder, { recursive: true })
for (const name of Object.keys(charts) as (keyof Charted)[]) {
  if (values.only !== undefined && values.only !== name) continue
  if (!values.draw) await record(name)
  drawAgain(name)
}

async function record(name: keyof Charted): Promise<void> {
  const server = await openServer()
  try {
    const origin = await originOf(name, server.url)
    const figures = await measures[name](server.url)
    writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify({ ...origin, figures }, null, 1)}\n`)
  } finally {
    await server.stop()
  }
}

function drawAgain<K extends keyof Charted>(name: K): void {
  const recorded = JSON.parse(readFileSync(path.join(folder, `${name}.json`), 'utf8')) as Origin & {
    figures: Charted[K]
  }
  writeFileSync(path.join(folder, `${name}.svg`), draw(charts[name](recorded.figures, recorded)))
  console.log(`perf/charts/${name}.svg`)
}

async function originOf(name: string, serverUrl: string): Promise<Origin> {
  const client = await connect(serverUrl)
  const { rows } = await client.query('SHOW server_version').finally(() => client.end())
  return {
    command: ['npm run perf:charts -- --only', name, ...quick].join(' '),
    isQuick: values.quick,
    runs: name === 'throughput' || name === 'latency' ? runs : 1,
    at: new Date().toISOString(),
    machine: `${os.cpus().length} × ${os.cpus()[0]?.model}`,
    load: Math.round(os.loadavg()[0]! * 10) / 10,
    node: process.versions.node,
    postgres: rows[0].server_version,
  }
}
