import { medianOf } from './child.ts'
import type { Chart, Plot, Point, Series } from './draw.ts'
import { linear, log } from './scale.ts'
import type { Figures } from './workload.ts'

/** Where figures come from. */
export interface Origin {
  readonly command: string
  readonly isQuick: boolean
  readonly runs: number
  readonly at: string
  readonly machine: string
  /** Of the machine when it began. */
  readonly load: number
  readonly node: string
  readonly postgres: string
}

/** What the programs measured for each chart. */
export interface Charted {
  readonly throughput: readonly (Figures & { readonly program: string })[]
  readonly latency: readonly {
    readonly program: string
    readonly figures: readonly { readonly offered: number; readonly p50Ms: number; readonly p99Ms: number }[]
  }[]
  readonly growth: readonly {
    readonly by: string
    readonly value: number
    readonly atOnce: number
    readonly cpuMicrosPerStep: number
    readonly walPerByte: number
  }[]
  readonly sharing: {
    readonly nodes: readonly { readonly nodes: number; readonly stepsPerSecond: number }[]
    readonly subscribers: readonly {
      readonly executions: number
      readonly subscribers: number
      readonly stepsPerSecond: number
    }[]
  }
}

/** Each chart as its figures show it. */
export const charts: { readonly [K in keyof Charted]: (figures: Charted[K], origin: Origin) => Chart } = {
  throughput(figures, origin) {
    const atOnce = [...new Set(figures.map((one) => one.atOnce))].sort((a, b) => a - b)
    const of = (program: string): Point[] =>
      atOnce.map((x) => {
        const runs = figures.filter((one) => one.program === program && one.atOnce === x)
        return middle(
          x,
          runs.map((one) => one.stepsPerSecond),
        )
      })
    const [limit, engine] = [of('limit'), of('engine')]
    const shares = atOnce.map((x, i) => ({ x, y: (engine[i]!.y / limit[i]!.y) * 100 }))
    const x = { label: 'executions at once', scale: log(atOnce, atOnce) }
    const all = [...limit, ...engine].flatMap(({ y, low, high }) => [y, low ?? y, high ?? y])
    return {
      title: 'Durable steps a second over executions at once',
      subtitle: 'Ten steps an execution, outputs of 100 bytes, each step committed before the next one begins',
      plotHeight: 270,
      plots: [
        {
          ...{ x, y: { label: 'steps a second', scale: log(all) } },
          series: [
            { name: 'the limit: a bare writer of the same rows', hue: 'grey', points: limit },
            { name: 'Cairn', hue: 'blue', points: engine },
          ],
        },
        {
          ...{ x, y: { label: 'share of the limit, %', scale: linear([100, ...shares.map(({ y }) => y)]) } },
          series: [{ name: 'Cairn', hue: 'blue', points: shares }],
          goals: [
            { x: 100, y: 50, name: 'goal 50 %' },
            { x: 1_000, y: 45, name: 'goal 45 %' },
          ],
        },
      ],
      footer: footerOf(origin),
    }
  },

  latency(figures, origin) {
    // The shares of a run are of what it could do itself: the same share is the same point.
    const of = (program: string, read: (one: { p50Ms: number; p99Ms: number }) => number): Point[] => {
      const runs = figures.filter((one) => one.program === program)
      return runs[0]!.figures.map((_, i) =>
        middle(
          medianOf(runs.map((run) => run.figures[i]!.offered)),
          runs.map((run) => read(run.figures[i]!)),
        ),
      )
    }
    const series: Series[] = [
      { name: 'limit, p50', hue: 'grey', points: of('limit', (one) => one.p50Ms) },
      { name: 'limit, p99', hue: 'grey', isDashed: true, points: of('limit', (one) => one.p99Ms) },
      { name: 'Cairn, p50', hue: 'blue', points: of('engine', (one) => one.p50Ms) },
      { name: 'Cairn, p99', hue: 'blue', isDashed: true, points: of('engine', (one) => one.p99Ms) },
    ]
    const points = series.flatMap((one) => one.points)
    return {
      title: 'How long an execution takes, over the load',
      subtitle:
        'Ten steps, from the moment at which it was due to its durable end; they come steadily, whatever is under way',
      plotHeight: 380,
      plots: [
        {
          x: {
            label: 'executions offered a second',
            scale: linear(
              points.map((point) => point.x),
              8,
            ),
          },
          y: {
            label: 'time of an execution, ms',
            scale: log(points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y])),
          },
          series,
        },
      ],
      footer: [`The points are ${shareList(figures)} of what each does with 1,000 at once.`, ...footerOf(origin)],
    }
  },

  growth(figures, origin) {
    type Grown = Charted['growth'][number]
    const by = (wanted: string, read: (one: Grown) => number, atOnce?: number): Point[] =>
      figures
        .filter((one) => one.by === wanted && (atOnce === undefined || one.atOnce === atOnce))
        .map((one) => ({ x: one.value, y: read(one) }))
    const micros = (one: Grown): number => one.cpuMicrosPerStep
    const cost = (title: string, label: string, wanted: string): Plot => {
      const points = by(wanted, micros)
      return {
        ...{ title, x: { label, scale: log(xOf(points), xOf(points)) } },
        y: { label: 'µs of Node a step', scale: linear(yOf(points), 4) },
        series: [{ name: 'CPU time', hue: 'blue', points }],
      }
    }
    const depth = cost('Depth of sequential and parallel nests', 'levels', 'depth')
    const inARow = by('flat', micros, 100)
    const payload = by('payload', (one) => one.walPerByte)
    return {
      title: 'What makes a step cost more',
      subtitle: 'A flat line is what one wants. Where an execution has few steps, they carry its start and its end too',
      ...{ columns: 2, plotHeight: 190 },
      plots: [
        cost('Size of the definition, in a row', 'steps', 'size'),
        cost('Width of a parallel', 'branches', 'width'),
        {
          ...depth,
          y: { ...depth.y, scale: linear(yOf([...inARow, ...depth.series[0]!.points]), 4) },
          series: [{ name: 'as many steps in a row', hue: 'grey', points: inARow }, ...depth.series],
        },
        {
          ...{ title: 'Size of an output', x: { label: 'bytes', scale: log(xOf(payload), xOf(payload)) } },
          y: { label: 'WAL bytes a byte of output', scale: linear(yOf(payload), 4) },
          series: [{ name: 'bytes written', hue: 'orange', points: payload }],
          goals: [{ y: 2, name: 'goal 2, at 100 KB' }],
        },
      ],
      footer: footerOf(origin),
    }
  },

  sharing({ nodes, subscribers }, origin) {
    const processes = nodes.map((one) => ({ x: one.nodes, y: one.stepsPerSecond }))
    const listened = (hasSubscribers: boolean): Point[] =>
      subscribers
        .filter((one) => one.executions > 1 && one.subscribers > 0 === hasSubscribers)
        .map((one) => ({ x: one.executions, y: one.stepsPerSecond }))
    const audience: Series[] = [
      { name: 'with a socket each', hue: 'green', points: listened(true) },
      { name: 'nobody listens', hue: 'grey', points: listened(false) },
    ]
    const heard = audience.flatMap((one) => one.points)
    return {
      title: 'Who else is there: subscribers, and more nodes',
      subtitle: 'The service, its clients and PostgreSQL share two cores: what one takes the others lack',
      ...{ columns: 2, plotHeight: 220 },
      plots: [
        {
          title: 'Executions with a subscriber each',
          x: { label: 'executions of ten steps', scale: log(xOf(heard), [...new Set(xOf(heard))]) },
          y: { label: 'steps a second', scale: linear(yOf(heard), 4) },
          series: audience,
        },
        {
          title: 'Processes on one PostgreSQL, the same two cores',
          x: { label: 'nodes', scale: log(xOf(processes), xOf(processes)) },
          y: { label: 'steps a second', scale: linear(yOf(processes), 4) },
          series: [{ name: 'all nodes together', hue: 'blue', points: processes }],
        },
      ],
      footer: footerOf(origin),
    }
  },
}

const xOf = (points: readonly Point[]): number[] => points.map(({ x }) => x)
const yOf = (points: readonly Point[]): number[] => points.map(({ y }) => y)

/** The median of the runs, and how far they lie apart. */
function middle(x: number, runs: readonly number[]): Point {
  const range = runs.length > 1 && { low: Math.min(...runs), high: Math.max(...runs) }
  return { x, y: medianOf(runs), ...range }
}

function footerOf({ command, isQuick, runs, at, machine, load, node, postgres }: Origin): string[] {
  const how = isQuick ? ` A --quick run at load ${load}: the shape of things, no figures to keep.` : ''
  return [
    `${command}, ${runs === 1 ? 'one run' : `medians of ${runs} runs`}, ${at.slice(0, 10)}.${how}`,
    `${machine}, Node ${node}, PostgreSQL ${postgres} on the same cores, fsync on.`,
  ]
}

function shareList(figures: Charted['latency']): string {
  const { capacity, figures: points } = figures[0] as Charted['latency'][number] & { capacity: number }
  const percents = points.map(({ offered }) => Math.round((offered / capacity) * 100))
  return `${percents.slice(0, -1).join(', ')} and ${percents.at(-1)} %`
}
