/** What was seen at a time, ms since some moment. */
export interface Sample {
  readonly at: number
  readonly value: number
}

/** How a figure went while the load stayed the same. */
export interface Trend {
  /** Medians of the first and of the last third. */
  readonly first: number
  readonly last: number
  /** How far the samples of a third lie from its median: the median of that. */
  readonly noise: number
  readonly perHour: number
  readonly verdict: 'grows' | 'does not grow'
}

/** What is less than this share of the beginning is nothing to look at, */
const LEVEL_SHARE = 0.05
/** nor what is less than so many times the noise. */
const NOISES = 3

/**
 * Compares the last third with the first. `floor` is what may be added in any case, in the figure's own unit; a figure that goes up
 * and down, as a table does between two vacuums, is allowed as much more as it goes up and down.
 */
export function trendOf(samples: readonly Sample[], floor: number): Trend {
  const third = Math.ceil(samples.length / 3)
  const [early, late] = [samples.slice(0, third), samples.slice(-third)]
  const [first, last] = [medianOf(early), medianOf(late)]
  const noise = Math.max(deviationOf(early, first), deviationOf(late, last))
  const hours = (median(late.map(({ at }) => at)) - median(early.map(({ at }) => at))) / 3_600_000
  const isMore = last - first > Math.max(floor, LEVEL_SHARE * first, NOISES * noise)
  return {
    ...{ first, last, noise },
    perHour: hours === 0 ? 0 : (last - first) / hours,
    verdict: isMore ? 'grows' : 'does not grow',
  }
}

const medianOf = (samples: readonly Sample[]): number => median(samples.map(({ value }) => value))

const deviationOf = (samples: readonly Sample[], middle: number): number =>
  median(samples.map(({ value }) => Math.abs(value - middle)))

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? 0
}
