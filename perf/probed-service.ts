import path from 'node:path'
import type { Ask, Told, Vitals } from './probe.ts'
import { type Service, startService } from './service.ts'

/** A service whose process can be asked how it is. */
export interface ProbedService extends Service {
  /** Since it was last asked; with `collect` after a garbage collection, which is in none of the times. */
  vitals(collect?: boolean): Promise<Vitals>
  /** Starts the CPU profiler of its process, which blocks it for a moment. */
  startProfile(): Promise<void>
  /** Writes what it saw to `file` (.cpuprofile). */
  stopProfile(file: string): Promise<void>
}

export async function startProbed(databaseUrl: string, settings: Record<string, string> = {}): Promise<ProbedService> {
  const probe = path.join(import.meta.dirname, 'probe.ts')
  const service = await startService(databaseUrl, settings, ['--expose-gc', '--import', probe])
  const waiting = new Map<number, PromiseWithResolvers<Told>>()
  let asked = 0
  service.process.on('message', (told: Told) => {
    waiting.get(told.id)?.resolve(told)
    waiting.delete(told.id)
  })
  service.process.once('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('The service has ended'))
  })
  type Question = Ask extends infer A ? (A extends Ask ? Omit<A, 'id'> : never) : never
  const ask = (question: Question): Promise<Told> => {
    const id = asked++
    const answer = Promise.withResolvers<Told>()
    waiting.set(id, answer)
    service.process.send({ ...question, id } as Ask, (error) => error && answer.reject(error))
    return answer.promise
  }
  return {
    ...service,
    vitals: async (collect = false) => (await ask({ ask: 'vitals', collect })).vitals!,
    async startProfile() {
      await ask({ ask: 'startProfile' })
    },
    async stopProfile(file) {
      await ask({ ask: 'stopProfile', file: path.resolve(file) })
    },
  }
}
