/**
 * Durations on a fixed logarithmic scale, eight buckets to a doubling: any quantile within 5 %, whatever the range, and two
 * histograms merge by adding. Plain data, sparse: it is stored as JSON as it is.
 */
export interface Histogram {
  count: number
  /** Milliseconds. */
  sum: number
  /** How many by bucket: 0 holds everything below 1 ms, n what begins at 2^((n-1)/8) ms. */
  buckets: Record<number, number>
}

const perDoubling = 8

export const emptyHistogram = (): Histogram => ({ count: 0, sum: 0, buckets: {} })

export function record(histogram: Histogram, ms: number): void {
  const bucket = ms < 1 ? 0 : 1 + Math.floor(Math.log2(ms) * perDoubling)
  histogram.count += 1
  histogram.sum += ms
  histogram.buckets[bucket] = (histogram.buckets[bucket] ?? 0) + 1
}

export function mergeHistogram(into: Histogram, from: Histogram): void {
  into.count += from.count
  into.sum += from.sum
  for (const [bucket, count] of Object.entries(from.buckets)) {
    into.buckets[Number(bucket)] = (into.buckets[Number(bucket)] ?? 0) + count
  }
}

/** The mean in ms; null when nothing was recorded. */
export const mean = ({ count, sum }: Histogram): number | null => (count === 0 ? null : sum / count)

/** The duration in ms that a share `q` (0..1) of the recorded stayed at or below, as its bucket's middle; null when empty. */
export function quantile({ count, buckets }: Histogram, q: number): number | null {
  if (count === 0) return null
  let left = Math.max(1, Math.ceil(count * q))
  let reached = 0
  // Integer keys of an object come in ascending order.
  for (const [bucket, inBucket] of Object.entries(buckets)) {
    reached = Number(bucket)
    left -= inBucket
    if (left <= 0) break
  }
  return reached === 0 ? 0.5 : 2 ** ((reached - 0.5) / perDoubling)
}
