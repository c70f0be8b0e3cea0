import type { StepProgress } from '../../../src/engine/core/progress.ts'
import type { Story } from '../story.ts'
import { ok, status, together } from '../world.ts'

const atOnce = together(2)

export const stories: readonly Story[] = [
  {
    rule: 'two shards are read at a time, never more, and their counts are merged',
    world: {
      'GET /shards/0': atOnce(ok(['the stone', 'The trail'])),
      'GET /shards/1': atOnce(ok(['a stone on a stone'])),
      'GET /shards/2': [status(503), status(503), ok(['the  trail goes on'])],
      'GET /shards/3': ok([]),
    },
    check(t, { execution, attempts, steps }) {
      t.strictSame(execution.output, [
        { word: 'stone', count: 3 },
        { word: 'the', count: 3 },
        { word: 'a', count: 2 },
      ])
      t.equal(attempts['read-2'], 3)
      const shards = Object.values(steps).filter(({ id }) => id.startsWith('shard-'))
      t.equal(Math.max(...shards.map((shard) => openWith(shard, shards))), 2)
    },
  },
  {
    rule: 'the five most frequent words are the output when nobody says how many',
    input: { top: undefined },
    world: { 'GET /shards/*': ok(['a b c d e f']) },
    check(t, { execution }) {
      t.strictSame(
        execution.output,
        ['a', 'b', 'c', 'd', 'e'].map((word) => ({ word, count: 4 })),
      )
    },
  },
]

/** How many branches were open when this one began, itself included. */
function openWith({ startedAt }: StepProgress, shards: readonly StepProgress[]): number {
  return shards.filter((other) => other.startedAt! <= startedAt! && startedAt! < other.completedAt!).length
}
