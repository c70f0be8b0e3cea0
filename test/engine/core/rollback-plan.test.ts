/** What a rollback would do, from two states. */
import t from 'tap'
import { findCheckpoint } from '../../../src/engine/core/checkpoint.ts'
import { fold } from '../../../src/engine/core/fold.ts'
import { planRollback, presentOf } from '../../../src/engine/core/rollback-plan.ts'
import { type Checkpoint, createState } from '../../../src/engine/core/state.ts'
import { a, Driver, of, par, seq } from './driver.ts'

const undo = { compensate: { type: 'echo' } }

function planned(d: Driver, index: number, compensate = true) {
  const checkpoint = findCheckpoint(d.state, index) as Checkpoint
  const present = presentOf(d.plan, d.state, checkpoint, compensate)
  const { input, executionId, format } = d.state
  const blank = createState({ executionId, format, input, variables: d.plan.variables })
  const before = fold(d.plan, blank, d.journal.slice(0, checkpoint.seq))
  const { compensated, performedAgain, kept } = planRollback(d.plan, present, before, checkpoint)
  const pathsOf = (steps: readonly { path: string }[]) => steps.map(({ path }) => path)
  return { compensated: pathsOf(compensated), performedAgain: pathsOf(performedAgain), kept: pathsOf(kept) }
}

t.test('a plan names what is taken back, performed again and kept', async (t) => {
  const steps = [a('x', undo), a('y', undo), par('p', [a('v', undo), a('w'), a('no', { when: 'false' })]), a('last')]
  const open = new Driver(steps).start().complete('x').complete('y').complete('p.v')
  const before = JSON.stringify([...open.state.steps])
  t.same(planned(open, 0), { compensated: ['p.v', 'y'], performedAgain: ['y', 'p.v', 'p.w'], kept: ['x'] })
  t.equal(JSON.stringify([...open.state.steps]), before, 'nothing is changed')
  t.same(planned(open, 0, false).compensated, [], 'only when asked')
  t.same(planned(open, 2), { compensated: [], performedAgain: ['p.w'], kept: ['x', 'y', 'p.v'] })
})

t.test('a composite is taken back as one, unless the checkpoint lies in it', async (t) => {
  const d = new Driver([a('first'), seq('s', [a('x', undo), a('y', undo)], undo), a('last')]).start()
  d.complete('first').complete('s.x').complete('s.y')
  t.same(planned(d, 0).compensated, ['s'])
  t.same(planned(d, 1).compensated, ['s.y'])
})

t.test('of a loop that has gone on the loop is listed', async (t) => {
  const d = new Driver([a('x'), of('while', 'w', { condition: 'index < 3', steps: [a('y')], maxIterations: 9 })])
  d.start().complete('x').complete('w[0].y').complete('w[1].y').complete('w[2].y')
  t.same(planned(d, 0), { compensated: [], performedAgain: ['w', 'w[2].y'], kept: ['x'] })
})
