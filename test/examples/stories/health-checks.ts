import type { Story } from '../story.ts'
import { ok, status, together } from '../world.ts'

/** Longer than any answer takes, and shorter than any. */
const neverSlow = { slowMs: 3_600_000 }
const alwaysSlow = { slowMs: -1 }
const atOnce = together(3)

export const stories: readonly Story[] = [
  {
    rule: 'all are asked at once, and somebody is paged for one that matters and is down',
    world: {
      'GET /health/shop': atOnce(ok('fine')),
      'GET /health/payments': atOnce(status(503)),
      'GET /health/search': atOnce(status(404)),
      'POST /pager/incidents': [status(500), 'hang up', ok({})],
    },
    check(t, { execution, attempts, sent, statuses }) {
      t.strictSame(execution.output, { down: ['payments'], paged: true })
      t.match(attempts, { 'check-payments': 1, page: 3 })
      t.strictSame(sent('POST /pager/incidents').at(-1), { title: 'Down: payments', execution: execution.id })
      t.match(statuses, { page: 'completed', 'any-slow': 'skipped', note: 'skipped' })
    },
  },
  {
    rule: 'one that does not matter is only noted',
    variables: neverSlow,
    world: {
      'GET /health/search': ['hang up', status(500)],
      'GET /health/*': ok('fine'),
      'POST /chat/messages': ok({}),
    },
    check(t, { execution, attempts, sent, statuses }) {
      t.strictSame(execution.output, { down: ['search'], paged: false })
      t.equal(attempts['check-search'], 2)
      t.strictSame(sent('POST /chat/messages'), [{ channel: '#operations', text: 'search is down' }])
      t.equal(statuses.page, 'skipped')
    },
  },
  {
    rule: 'one that gives no answer at all fails the execution',
    world: { 'GET /health/search': 'hang up', 'GET /health/*': ok('fine') },
    ends: 'failed',
    check(t, { execution, attempts }) {
      t.match(execution.error, { type: 'ConnectionError', stepPath: 'checks.check-search' })
      t.equal(attempts['check-search'], 3)
    },
  },
  {
    rule: 'slow ones are noted too',
    variables: alwaysSlow,
    world: { 'GET /health/*': ok('fine'), 'POST /chat/messages': ok({}) },
    check(t, { execution, sent }) {
      t.strictSame(execution.output, { down: [], paged: false })
      t.match(sent('POST /chat/messages'), [{ text: 'shop is slow, payments is slow, search is slow' }])
    },
  },
  {
    rule: 'nobody hears anything when all is well',
    variables: neverSlow,
    world: { 'GET /health/*': ok('fine') },
    check(t, { execution, statuses }) {
      t.strictSame(execution.output, { down: [], paged: false })
      t.match(statuses, { outage: 'completed', 'any-slow': 'completed', note: 'skipped', page: 'skipped' })
    },
  },
]
