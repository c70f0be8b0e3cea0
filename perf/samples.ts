import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Lateness and the like, whole ms: what share of the samples was no greater. */
export function spread(samples: number[]): { p50Ms: number; p99Ms: number; maxMs: number } {
  const { p50Ms, p99Ms, maxMs } = exactly(samples)
  return { p50Ms: Math.round(p50Ms), p99Ms: Math.round(p99Ms), maxMs: Math.round(maxMs) }
}

/** The same for what takes less than that. */
export function exactly(samples: readonly number[]): { p50Ms: number; p99Ms: number; maxMs: number } {
  const sorted = Float64Array.from(samples).sort()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

/** What this process takes from now on: CPU, its largest memory, and the longest time that its event loop stood still. */
export function watchProcess(): () => { cpuSeconds: number; maxRssMiB: number; maxEventLoopDelayMs: number } {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const before = process.cpuUsage()
  let maxRss = process.memoryUsage.rss()
  const sampling = setInterval(() => {
    maxRss = Math.max(maxRss, process.memoryUsage.rss())
  }, 100)
  return () => {
    clearInterval(sampling)
    delay.disable()
    const { user, system } = process.cpuUsage(before)
    return {
      cpuSeconds: Math.round((user + system) / 1e5) / 10,
      maxRssMiB: Math.round(maxRss / 1024 ** 2),
      maxEventLoopDelayMs: Math.round(delay.max / 1e6),
    }
  }
}
