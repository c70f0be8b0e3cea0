import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { Type } from 'typebox'
import { CairnError, defineAction, type StreamMessage, WorkflowEngine } from '../src/index.ts'

const greet = defineAction({
  type: 'greet',
  configSchema: Type.Object({ name: Type.String() }, { additionalProperties: false }),
  perform: ({ name }) => ({ output: `Hello, ${name}`, meta: { polite: true } }),
})

t.test(
  'an embedding program needs nothing but the engine: no database, an action of its own, its own subscriber',
  async (t) => {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'cairn-library-'))
    t.teardown(() => rmSync(dataDir, { recursive: true, force: true }))
    const workflowEngine = new WorkflowEngine({ dataDir, actions: [greet] })
    t.teardown(() => workflowEngine.stop())
    await workflowEngine.stop().then(() => t.pass('stop is safe before start'))

    const engine = new WorkflowEngine({ dataDir, actions: [greet] })
    t.teardown(() => engine.stop())
    await engine.start()
    const workflow = await engine.createWorkflow({
      name: 'Greeting',
      steps: [
        { id: 'wait', name: 'Wait', type: 'action', config: { type: 'echo', delayMs: 1_000 } },
        { id: 'greet', name: 'Greet', type: 'action', config: { type: 'greet', name: '{{ input.inputData }}' } },
      ],
    })
    const executionId = await engine.startExecution(workflow.id, 'user-123', { inputData: 'sample data' })
    const messages: StreamMessage[] = []
    const completed = new Promise<void>((resolve) => {
      const unsubscribe = engine.subscribe(executionId, (message) => {
        messages.push(message)
        if (message.type !== 'event' || message.event.type !== 'execution.completed') return
        unsubscribe()
        resolve()
      })
    })
    await engine.pauseExecution(executionId)
    t.match(await engine.getProgress(executionId), {
      status: 'paused',
      completedSteps: 1,
      totalSteps: 2,
      percentage: 50,
    })
    await engine.resumeExecution(executionId)
    await completed
    t.equal(messages[0]?.type, 'snapshot')
    t.match(await engine.getExecution(executionId), {
      status: 'completed',
      output: 'Hello, sample data',
      triggeredBy: 'user-123',
    })

    await engine.rollbackToCheckpoint(executionId, 0)
    t.match(await engine.getProgress(executionId), { status: 'paused', percentage: 50 })
    t.equal((await engine.cancelExecution(executionId)).execution.status, 'cancelled')

    const faults = await engine
      .createWorkflow({ name: 'x', steps: [{ id: 'a', type: 'action', config: { type: 'greet' } }] })
      .then(
        () => t.fail('it lacks two fields'),
        (error: CairnError) => error,
      )
    t.ok(faults instanceof CairnError)
    t.match(faults, { code: 'DEFINITION_INVALID' })
    await engine.stop()
    await t.rejects(engine.getProgress(executionId), { code: 'DATABASE_UNAVAILABLE' })
  },
)
