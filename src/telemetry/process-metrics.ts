import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Registry } from './instruments.ts'

/** Memory, CPU and the event loop, under the names that Prometheus' own client libraries use. */
export function watchProcess(registry: Registry): void {
  // Samples in native code every 20 ms; keeps no process alive.
  const delay = monitorEventLoopDelay({ resolution: 20 })
  delay.enable()
  let utilisation = performance.eventLoopUtilization()

  registry.counter('process_cpu_seconds_total', 'CPU time of this process', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registry.gauge(
    'process_start_time_seconds',
    'When this process began, since 1970',
    () => performance.timeOrigin / 1000,
  )
  registry.gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss())
  registry.gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use', () => process.memoryUsage().heapUsed)
  registry.gauge('nodejs_heap_size_total_bytes', 'JavaScript heap reserved', () => process.memoryUsage().heapTotal)
  registry.gauge(
    'nodejs_eventloop_utilization_ratio',
    'Share of the time since the last scrape that the loop was busy',
    () => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, utilisation)
      utilisation = now
      return utilization
    },
  )
  registry.gauge('nodejs_eventloop_lag_p50_seconds', 'Median delay of the event loop since the last scrape', () =>
    delay.count === 0 ? null : delay.percentile(50) / 1e9,
  )
  registry.gauge('nodejs_eventloop_lag_p99_seconds', '99th percentile of it', () =>
    delay.count === 0 ? null : delay.percentile(99) / 1e9,
  )
  registry.gauge('nodejs_eventloop_lag_max_seconds', 'Longest delay of it', () => {
    const longest = delay.count === 0 ? null : delay.max / 1e9
    delay.reset()
    return longest
  })
}
