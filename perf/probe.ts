/**
 * Loaded into a service's process by `--import`, before its own code: tells its parent over IPC how the process is. Nothing of it
 * is in the service that operators run.
 */
import { writeFile } from 'node:fs/promises'
import { Session } from 'node:inspector/promises'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** How a process was since it was last asked. */
export interface Vitals {
  readonly rssBytes: number
  /** After a garbage collection where one was asked for. */
  readonly heapBytes: number
  /** Buffers and the like. */
  readonly externalBytes: number
  /** Sockets, timers, files: what keeps a process alive, by kind. */
  readonly handles: Readonly<Record<string, number>>
  /** How late timers of 1 ms were, ms: the longest is for how long one event blocked the loop. */
  readonly loopP50Ms: number
  readonly loopP99Ms: number
  readonly loopMaxMs: number
  /** Share of the time that the loop was busy, 0..1. */
  readonly loopUtilization: number
  readonly cpuMs: number
}

export type Ask = { readonly id: number } & (
  | { readonly ask: 'vitals'; readonly collect: boolean }
  | { readonly ask: 'startProfile' }
  | { readonly ask: 'stopProfile'; readonly file: string }
)
export type Told = { readonly id: number; readonly vitals: Vitals | null }

const RESOLUTION_MS = 1
/** An event that blocked the loop may be answered for before the late timer has been seen. */
const SETTLE_MS = 20

if (process.send !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  let utilization = performance.eventLoopUtilization()
  let cpu = process.cpuUsage()
  let session: Session | null = null

  const vitals = async (collect: boolean): Promise<Vitals> => {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    const loopMs = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
    const loop = {
      loopP50Ms: loopMs(delay.percentile(50)),
      loopP99Ms: loopMs(delay.percentile(99)),
      loopMaxMs: loopMs(delay.max),
      loopUtilization: performance.eventLoopUtilization(utilization).utilization,
    }
    const { user, system } = process.cpuUsage(cpu)
    const handles: Record<string, number> = {}
    for (const kind of process.getActiveResourcesInfo()) handles[kind] = (handles[kind] ?? 0) + 1
    if (collect) (globalThis as { gc?: () => void }).gc?.()
    const { rss: rssBytes, heapUsed: heapBytes, external: externalBytes } = process.memoryUsage()
    // The collection is ours: it is in no figure.
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    delay.reset()
    utilization = performance.eventLoopUtilization()
    cpu = process.cpuUsage()
    return { rssBytes, heapBytes, externalBytes, handles, ...loop, cpuMs: (user + system) / 1000 }
  }

  const startProfile = async (): Promise<void> => {
    session = new Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 500 })
    await session.post('Profiler.start')
  }

  const stopProfile = async (file: string): Promise<void> => {
    const { profile } = await session!.post('Profiler.stop')
    session!.disconnect()
    await writeFile(file, JSON.stringify(profile))
  }

  process.on('message', async (message: Ask) => {
    const told = message.ask === 'vitals' ? await vitals(message.collect) : null
    if (message.ask === 'startProfile') await startProfile()
    if (message.ask === 'stopProfile') await stopProfile(message.file)
    process.send!({ id: message.id, vitals: told } satisfies Told)
  })
  // It does not outlive its parent, and when it stops it does not wait for it.
  process.on('disconnect', () => process.exit(1))
  process.channel?.unref()
}
