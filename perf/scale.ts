/** How a figure becomes a place on an axis. */
export interface Scale {
  readonly kind: 'linear' | 'log'
  /** The least and the greatest figure that the axis shows. */
  readonly from: number
  readonly to: number
  /** 0 at `from`, 1 at `to`. */
  at(value: number): number
  /** Figures that are written at the axis, and those that only have a line. */
  readonly ticks: readonly number[]
  readonly minor: readonly number[]
}

/** From zero, with about so many round ticks. */
export function linear(values: readonly number[], count = 5): Scale {
  const most = Math.max(...values, Number.MIN_VALUE)
  const rough = most / count
  const magnitude = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * magnitude).find((one) => one >= rough)!
  const to = Math.ceil(most / step - 1e-9) * step
  const ticks = Array.from({ length: Math.round(to / step) + 1 }, (_, i) => round(i * step))
  return { kind: 'linear', from: 0, to, at: (value) => value / to, ticks, minor: [] }
}

/** By powers of ten; between them, 2 and 5 are written too where there is room. Given figures are the only ticks. */
export function log(values: readonly number[], given?: readonly number[]): Scale {
  const positive = values.filter((value) => value > 0)
  const [least, most] = [Math.min(...positive), Math.max(...positive)]
  const all = given === undefined ? steps(least, most, [1, 2, 5]) : []
  const from = given?.[0] ?? all.findLast((one) => one <= least)!
  const to = given?.at(-1) ?? all.find((one) => one >= most)!
  const [low, span] = [Math.log10(from), Math.log10(to) - Math.log10(from)]
  const shown = (factors: readonly number[]): number[] =>
    steps(from, to, factors).filter((one) => one >= from * 0.999 && one <= to * 1.001)
  const ticks = given ?? shown(span > 3.2 ? [1] : [1, 2, 5])
  const minor = given === undefined ? shown([1, 2, 3, 4, 5, 6, 7, 8, 9]).filter((one) => !ticks.includes(one)) : []
  return { kind: 'log', from, to, at: (value) => (Math.log10(value) - low) / (span || 1), ticks, minor }
}

/** All figures of these first digits around a span. */
function steps(from: number, to: number, factors: readonly number[]): number[] {
  const [first, last] = [Math.floor(Math.log10(from)), Math.ceil(Math.log10(to))]
  const powers = Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i))
  return powers.flatMap((power) => factors.map((factor) => round(factor * power)))
}

/** 0.30000000000000004 is not written at an axis. */
const round = (value: number): number => Number(value.toPrecision(12))
