import type { Story } from '../story.ts'
import { ok } from '../world.ts'

const records = [
  { id: 1, celsius: 12.5 },
  { id: 2, celsius: null },
]

export const stories: readonly Story[] = [
  {
    rule: 'the agent gets what was fetched, and its answer is the output',
    world: { 'GET /data': ok(records), 'agent data-processor': ok('Two records, one of them incomplete.') },
    check(t, { execution, sent, statuses }) {
      t.equal(execution.output, 'Two records, one of them incomplete.')
      t.match(sent('agent data-processor'), [
        { model: 'data-processor-1', messages: [{ role: 'user', content: JSON.stringify(records) }] },
      ])
      t.equal(statuses['validate-data'], 'completed')
    },
  },
  {
    rule: 'the agent is not asked about nothing',
    world: { 'GET /data': ok([]) },
    check(t, { execution, asked, statuses }) {
      t.strictSame(execution.output, [])
      t.strictSame(asked, ['GET /data'])
      t.equal(statuses['process-data'], 'skipped')
    },
  },
]
