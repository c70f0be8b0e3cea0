import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const reading = (sensor: string, celsius: number | null) => ({ sensor, at: '2026-11-21T06:00:00Z', celsius })
const good = [reading('a', -3.5), reading('b', 0), reading('c', 60)]

export const stories: readonly Story[] = [
  {
    rule: 'a batch that lacks little is published with a warning, without the gaps',
    world: {
      'GET /readings': [status(500), ok([...good, reading('d', null)])],
      'POST /chat/messages': [status(503), ok({})],
      'POST /warehouse/readings': [status(503), 'hang up', ok({ accepted: 3 })],
    },
    check(t, { execution, attempts, calls, sent }) {
      t.strictSame(execution.output, { batch: '2026-11-21T06', published: 3, missing: 1 })
      t.match(attempts, { 'load-batch': 2, warn: 2, publish: 3 })
      t.strictSame(calls('GET /readings')[0]!.query, { batch: '2026-11-21T06' })
      t.match(sent('POST /chat/messages'), [{ channel: '#sensors', text: 'Batch 2026-11-21T06 lacks 1 of 4 values' }])
      t.strictSame(sent('POST /warehouse/readings').at(-1), good)
    },
  },
  {
    rule: 'a complete batch is published without a word',
    world: { 'GET /readings': ok(good), 'POST /warehouse/readings': ok({ accepted: 3 }) },
    check(t, { execution, statuses }) {
      t.match(execution.output, { published: 3, missing: 0 })
      t.match(statuses, { complete: 'completed', warn: 'skipped' })
    },
  },
  {
    rule: 'nobody is warned who does not want to be',
    input: { strict: false },
    world: {
      'GET /readings': ok([...good, reading('d', null)]),
      'POST /warehouse/readings': ok({ accepted: 3 }),
    },
    check(t, { statuses }) {
      t.match(statuses, { warn: 'skipped', publish: 'completed' })
    },
  },
  {
    rule: 'a batch that lacks much is left out, and that ends well',
    world: { 'GET /readings': ok([reading('a', 1), reading('b', null), reading('c', null)]) },
    check(t, { execution, statuses }) {
      t.strictSame(execution.output, { batch: '2026-11-21T06', published: 0, missing: 2 })
      t.match(statuses, { complete: 'skipped', warn: 'skipped', publish: 'skipped' })
    },
  },
  {
    rule: 'a batch that is too small fails at its gate',
    world: { 'GET /readings': ok(good.slice(1)) },
    ends: 'failed',
    check(t, { execution }) {
      t.match(execution.error, { stepPath: 'enough-rows' })
    },
  },
  {
    rule: 'duplicates and impossible values fail the batch',
    world: { 'GET /readings': ok([...good, reading('a', 61)]) },
    ends: 'failed',
    check(t, { execution, statuses }) {
      t.match(execution.error, { stepPath: 'plausible' })
      t.match(statuses, { 'enough-rows': 'completed', publish: 'pending' })
    },
  },
]
