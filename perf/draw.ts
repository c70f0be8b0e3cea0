import type { Scale } from './scale.ts'

export interface Point {
  readonly x: number
  readonly y: number
  /** The least and the greatest of the runs that `y` is the median of. */
  readonly low?: number
  readonly high?: number
}

export interface Series {
  readonly name: string
  /** Its colour. */
  readonly hue: 'blue' | 'orange' | 'green' | 'grey'
  /** Drawn as dashes: the same thing in another respect. */
  readonly isDashed?: boolean
  readonly points: readonly Point[]
}

/** One field with two axes. */
export interface Plot {
  /** Above it; nothing for the only one. */
  readonly title?: string
  readonly x: { readonly label: string; readonly scale: Scale }
  readonly y: { readonly label: string; readonly scale: Scale }
  readonly series: readonly Series[]
  /** What is to be reached, or must not be passed. */
  readonly goals?: readonly { readonly x?: number; readonly y: number; readonly name: string }[]
}

/** A page of plots. */
export interface Chart {
  readonly title: string
  readonly subtitle: string
  readonly plots: readonly Plot[]
  /** Plots beside each other; 1 unless given. */
  readonly columns?: number
  readonly plotHeight?: number
  /** Where the figures come from. */
  readonly footer: readonly string[]
}

const WIDTH = 860
const EDGE = 24
const GAP = 28
/** Around a plot, for its axes. */
const LEFT = 68
const BOTTOM = 48

/** Readable on light and on dark pages: the viewer's preference decides, and the page brings its own ground. */
const style = `
    .ground { fill: #ffffff } .grid { stroke: #d8dee4; stroke-width: 1 } .minor { stroke: #eef1f4; stroke-width: 1 }
    .axis { stroke: #8c959f; stroke-width: 1 } text { fill: #57606a; font: 12px system-ui, 'Segoe UI', 'Liberation Sans', sans-serif }
    .title { fill: #1f2328; font-size: 17px; font-weight: 600 } .name { fill: #1f2328; font-weight: 600 }
    .legend { fill: #1f2328 } .small { font-size: 11px } .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round }
    .range { stroke-width: 1.4; opacity: 0.55 } .dot { stroke: #ffffff; stroke-width: 1.2 } .goal { stroke: #cf222e; stroke-width: 1.4; stroke-dasharray: 2 4 }
    .goals { fill: #cf222e; font-size: 11px; paint-order: stroke; stroke: #ffffff; stroke-width: 4px; stroke-linejoin: round }
    .blue { stroke: #0969da } .orange { stroke: #bc4c00 } .green { stroke: #1a7f37 } .grey { stroke: #6e7781 }
    .dot.blue { fill: #0969da } .dot.orange { fill: #bc4c00 } .dot.green { fill: #1a7f37 } .dot.grey { fill: #6e7781 } .dot { stroke: #ffffff }
    .dashed { stroke-dasharray: 7 5 }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117 } .grid { stroke: #2a313a } .minor { stroke: #1a2028 } .axis { stroke: #6e7681 } text { fill: #9198a1 }
      .title, .name, .legend { fill: #e6edf3 } .dot, .dot.blue, .dot.orange, .dot.green, .dot.grey { stroke: #0d1117 }
      .blue { stroke: #58a6ff } .orange { stroke: #f0883e } .green { stroke: #3fb950 } .grey { stroke: #9da7b3 } .goal { stroke: #ff7b72 }
      .dot.blue { fill: #58a6ff } .dot.orange { fill: #f0883e } .dot.green { fill: #3fb950 } .dot.grey { fill: #9da7b3 } .goals { fill: #ff7b72; stroke: #0d1117 }
    }`

/** The chart as an SVG document. */
export function draw(chart: Chart): string {
  const { title, subtitle, plots, columns = 1, plotHeight = 300, footer } = chart
  const rows = Math.ceil(plots.length / columns)
  const hasTitles = plots.some((plot) => plot.title !== undefined)
  const [series, legendRows] = legendOf(plots)
  const head = 62 + legendRows * 22 + 8
  const rowHeight = plotHeight + BOTTOM + (hasTitles ? 24 : 0) + 8
  const height = head + rows * rowHeight + 8 + footer.length * 16 + 10
  const width = (WIDTH - 2 * EDGE - 10 - (columns - 1) * GAP) / columns
  const parts = plots.map((plot, i) => {
    const left = EDGE + (i % columns) * (width + GAP) + LEFT
    const top = head + Math.floor(i / columns) * rowHeight + (hasTitles ? 24 : 0)
    return drawPlot(plot, { left, top, width: width - LEFT, height: plotHeight })
  })
  const notes = footer.map((line, i) => label(line, EDGE, height - 12 - (footer.length - 1 - i) * 16, 'small'))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
  <title>${escaped(title)}</title>
  <desc>${escaped(subtitle)}</desc>
  <style>${style}
  </style>
  <rect class="ground" width="${WIDTH}" height="${height}" rx="8" />
  ${[label(title, EDGE, 32, 'title'), label(subtitle, EDGE, 52), ...series, ...parts, ...notes].join('\n  ')}
</svg>
`
}

interface Box {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

function drawPlot({ title, x, y, series, goals = [] }: Plot, { left, top, width, height }: Box): string {
  const [right, bottom] = [left + width, top + height]
  const atX = (value: number): number => tidy(left + x.scale.at(value) * width)
  const atY = (value: number): number => tidy(bottom - y.scale.at(value) * height)
  const across = (value: number, name: string): string => line(left, atY(value), right, atY(value), name)
  const down = (value: number, name: string): string => line(atX(value), top, atX(value), bottom, name)
  return [
    title === undefined ? '' : label(title, left, top - 12, 'name'),
    ...x.scale.minor.map((value) => down(value, 'minor')),
    ...y.scale.minor.map((value) => across(value, 'minor')),
    ...x.scale.ticks.map((value) => down(value, 'grid')),
    ...y.scale.ticks.map((value) => across(value, 'grid')),
    line(left, bottom, right, bottom, 'axis'),
    ...x.scale.ticks.map((value) => label(written(value), atX(value), bottom + 17, '', 'middle')),
    ...y.scale.ticks.map((value) => label(written(value), left - 8, atY(value) + 4, '', 'end')),
    label(x.label, left + width / 2, bottom + 36, '', 'middle'),
    `<text transform="translate(${left - LEFT + 12} ${top + height / 2}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
    ...series.flatMap((one) => drawSeries(one, atX, atY)),
    ...goals.map((goal) => drawGoal(goal, { left, top, width, height }, atX, atY)),
  ]
    .filter((part) => part !== '')
    .join('\n  ')
}

/** A line across, or a short one where only some figure of `x` is meant. */
function drawGoal(
  { x, y, name }: NonNullable<Plot['goals']>[number],
  { left, width }: Box,
  atX: (value: number) => number,
  atY: (value: number) => number,
): string {
  if (x === undefined)
    return line(left, atY(y), left + width, atY(y), 'goal') + label(name, left + width - 6, atY(y) - 5, 'goals', 'end')
  return line(atX(x) - 34, atY(y), atX(x) + 34, atY(y), 'goal') + label(name, atX(x) - 34, atY(y) - 6, 'goals')
}

function drawSeries(
  { name, hue, isDashed, points }: Series,
  atX: (value: number) => number,
  atY: (value: number) => number,
): string[] {
  const path = points.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${atX(x)} ${atY(y)}`).join(' ')
  return [
    ...points.flatMap(({ x, low, high }) =>
      low === undefined || high === undefined ? [] : [line(atX(x), atY(low), atX(x), atY(high), `range ${hue}`)],
    ),
    `<path class="line ${hue}${isDashed ? ' dashed' : ''}" d="${path}" />`,
    ...points.map(
      ({ x, y }) =>
        `<circle class="dot ${hue}" cx="${atX(x)}" cy="${atY(y)}" r="4"><title>${escaped(`${name}: ${written(x)}, ${written(y)}`)}</title></circle>`,
    ),
  ]
}

/** Each name once, in rows, and how many rows. */
function legendOf(plots: readonly Plot[]): [parts: string[], rows: number] {
  const named = new Map(plots.flatMap(({ series }) => series.map((one) => [one.name, one] as const)))
  let [x, row] = [EDGE, 0]
  const parts = [...named.values()].map(({ name, hue, isDashed }) => {
    const width = 34 + widthOf(name) + 26
    if (x + width > WIDTH && x > EDGE) [x, row] = [EDGE, row + 1]
    const y = 76 + row * 22
    const swatch = `<path class="line ${hue}${isDashed ? ' dashed' : ''}" d="M${x} ${y - 4} H${x + 26}" /><circle class="dot ${hue}" cx="${x + 13}" cy="${y - 4}" r="4" />`
    const part = swatch + label(name, x + 34, y, 'legend')
    x += width
    return part
  })
  return [parts, named.size === 0 ? 0 : row + 1]
}

/** Of 12 px text, roughly, and rather too much. */
const widthOf = (text: string): number => text.length * 6.2

const line = (x1: number, y1: number, x2: number, y2: number, name: string): string =>
  `<line class="${name}" x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" />`

const label = (text: string, x: number, y: number, name = '', anchor: 'start' | 'middle' | 'end' = 'start'): string =>
  `<text${name && ` class="${name}"`} x="${tidy(x)}" y="${tidy(y)}"${anchor === 'start' ? '' : ` text-anchor="${anchor}"`}>${escaped(text)}</text>`

const tidy = (value: number): number => Math.round(value * 10) / 10

/** 12,000; 3.4; 0.25. */
const written = (value: number): string =>
  value.toLocaleString('en-US', value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 })

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
