import type { Test } from 'tap'
import { seen } from '../engine/running-engine.ts'
import { until } from '../harness/condition.ts'
import type { Point } from './points.ts'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

/** An execution that holds a slot until it, or its step at `path`, ends. */
interface Holding {
  readonly definition: object
  /** The step that holds it; undefined: the execution itself. */
  readonly path?: string
  readonly output: string
}

/**
 * Whoever holds a slot is killed at each of the points: another node holds it on to the end, it was asked for and granted once, and
 * the next one follows.
 */
export function holderDies(t: Test, { definition, path, output }: Holding, points: readonly Point[]): void {
  for (const at of points) {
    t.test(`killed ${at}`, { buffered: true }, async (t: Test) => {
      const scene = await prepare(t, definition)
      await dies(t, scene, { DIE_AT: at, UNDRIVEN: 'yes' })
      await deadAreSwept(scene)
      const { execution, survivor, history } = await endsElsewhere(t, scene)
      t.match(execution, { status: 'completed', output })
      for (const type of ['slot.granted', path === undefined ? 'execution.queued' : 'step.queued'])
        t.equal(history.filter((event) => event.type === type).length, 1, type)
      const next = await survivor.startExecution(scene.workflowId, 'test')
      await seen(survivor, next, 'slot.granted', path)
      t.match(await survivor.waitForEnd(next, 60_000), { status: 'completed' }, 'the next one follows')
      await until('no slot is left', async () => (await scene.sql('SELECT FROM concurrency_slots')).length === 0)
    })
  }
}
