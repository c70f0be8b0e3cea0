import { WorkflowEngine } from '../../../src/engine/engine.ts'
import { noObserver } from '../../../src/engine/observer.ts'

/*
 * The process that dies: it starts the workflow and kills itself, with SIGKILL, when the query of the step `pay` has been
 * committed and its completion is not in the journal yet.
 */
const { DATABASE_URL: databaseUrl, WORKFLOW_ID: workflowId } = process.env as Record<string, string>

// It must not outlive a test that is killed itself.
process.on('disconnect', () => process.exit(1))

const engine = new WorkflowEngine({
  databaseUrl: databaseUrl!,
  leaseMs: 2_000,
  targets: { dataSources: { main: { url: databaseUrl! } } },
  observer: {
    ...noObserver,
    attemptEnded({ path }) {
      if (path === 'pay') process.kill(process.pid, 'SIGKILL')
    },
  },
})
await engine.start()
await engine.startExecution(workflowId!, 'the victim', null)
