/** The node that runs the executions of watch.ts, as a process of its own: it tells when each event was committed. */
import { WorkflowEngine } from '../src/engine/engine.ts'
import { noObserver } from '../src/engine/observer.ts'

/** execution, seq, time of its commit: the machine's monotonic clock, ms, the same for all processes. */
export type Committed = readonly [executionId: string, seq: number, at: number]
export type FromOwner =
  | { readonly started: readonly string[] }
  | { readonly committed: readonly Committed[] }
  | { readonly over: true }
export type ToOwner = { readonly workflowId: string; readonly executions: number }

export const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6

if (import.meta.main) {
  const send = (message: FromOwner): void => void process.send!(message)
  const committed: Committed[] = []
  let missing = Number.POSITIVE_INFINITY
  const engine = new WorkflowEngine({
    databaseUrl: process.env.DATABASE_URL!,
    notify: process.env.NOTIFY === 'on',
    observer: {
      ...noObserver,
      committed(row, { events }) {
        const at = machineMs()
        for (const { seq, type } of events) {
          committed.push([row.id, seq, at])
          if (type === 'execution.completed') missing -= 1
        }
      },
    },
  })
  await engine.start()
  process.on('message', async ({ workflowId, executions }: ToOwner) => {
    missing = executions
    const started = await Promise.all(Array.from({ length: executions }, () => engine.startExecution(workflowId)))
    send({ started })
    const timer = setInterval(async () => {
      send({ committed: committed.splice(0) })
      if (missing > 0) return
      clearInterval(timer)
      await engine.stop()
      send({ over: true })
      process.disconnect()
    }, 500)
  })
}
