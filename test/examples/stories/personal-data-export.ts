import type { Story } from '../story.ts'
import { type Answer, created, ok, status, together } from '../world.ts'

const url = 'https://archive.example.com/one'
const profile = { name: 'Ada Lovelace' }
const orders = [{ id: 'o-1' }]
const tickets = [{ id: 't-9' }]
const consents = { newsletter: false }
const atOnce = together(4)

export const stories: readonly Story[] = [
  {
    rule: 'what was asked for is in the archive, though a system was down for long, and the person hears where it is',
    world: {
      'GET /people/ada%40example.com': ok(profile),
      'GET /orders': [...Array<Answer>(20).fill(status(503)), ok(orders)],
      'GET /consents': [status(429), ok(consents)],
      'PUT /archives/*': [status(502), created({ url })],
      'POST /mails': [status(503), ok({})],
    },
    check(t, { execution, attempts, calls, sent, statuses }) {
      t.equal(execution.output, url)
      t.match(attempts, { orders: 21, consents: 2, store: 2, notify: 2 })
      t.equal(statuses.tickets, 'skipped')
      t.strictSame(calls('GET /orders')[0]!.query, { customer: 'ada@example.com' })
      const archive = { person: 'ada@example.com', madeFor: execution.id, profile, orders, consents }
      t.strictSame(sent('PUT /archives/*').at(-1), archive)
      t.match(sent('POST /mails').at(-1), { to: 'ada@example.com', text: `It is ready for thirty days at ${url}` })
    },
  },
  {
    rule: 'everything is gathered, at once, when nobody says what to include',
    input: { include: undefined },
    world: {
      'GET /people/ada%40example.com': atOnce(ok(profile)),
      'GET /orders': atOnce(ok(orders)),
      'GET /tickets': atOnce(ok(tickets)),
      'GET /consents': atOnce(ok(consents)),
      'PUT /archives/*': ok({ url }),
      'POST /mails': ok({}),
    },
    check(t, { calls, sent }) {
      t.strictSame(calls('GET /tickets')[0]!.query, { from: 'ada@example.com' })
      t.match(sent('PUT /archives/*'), [{ profile, orders, tickets, consents }])
    },
  },
]
