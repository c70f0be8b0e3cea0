/** Processes die around the removal of snapshots that serve nobody any more: it takes nothing that a recovery needs. */
import t from 'tap'
import { step } from './scenario.ts'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

t.setTimeout(600_000)

/** Two iterations are enough for a snapshot, and one checkpoint is kept: each snapshot but the first outdates one. */
const definition = {
  name: 'bulky',
  checkpoints: { keep: 1 },
  steps: [
    {
      id: 'loop',
      name: 'loop',
      type: 'while',
      config: { condition: 'index < 20', steps: [step('bulk', { size: 70_000 })], maxIterations: 20 },
    },
  ],
  output: '{{ steps.loop.output.length }}',
}

t.test('killed around the removal of outdated snapshots, an execution goes on from those that are left', async (t) => {
  const scene = await prepare(t, definition)
  const seqs = async () => {
    const rows = await scene.sql('SELECT seq::integer FROM execution_snapshots ORDER BY seq')
    return (rows as { seq: number }[]).map(({ seq }) => seq)
  }
  for (const moment of ['before', 'during', 'after'] as const) {
    await dies(t, scene, { DIE_AT: `${moment} deleteSnapshotsBefore`, UNDRIVEN: 'yes' })
    t.ok((await seqs()).length > 0, 'one is left to go on from')
    await deadAreSwept(scene)
  }
  const { execution } = await endsElsewhere(t, scene)
  t.match(execution, { status: 'completed', output: 70_000 })
})
