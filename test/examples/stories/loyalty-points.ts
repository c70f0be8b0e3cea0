import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const balanceOf = (customer: string) => `SELECT balance FROM loyalty_accounts WHERE customer = '${customer}'`
const recordsOf = (id: string) => `SELECT result FROM cairn_effects WHERE idempotency_key = '${id}/0/book'`

export const stories: readonly Story[] = [
  {
    rule: 'the points are on the account, and the record that they were booked is beside them',
    world: { 'POST /mails': ok({}) },
    async check(t, { execution, steps, query, sent }) {
      t.strictSame(execution.output, { customer: 'ada@example.com', balance: 598 })
      t.match(steps.book, { status: 'completed', attempt: 1 })
      t.strictSame(await query(balanceOf('ada@example.com')), [{ balance: 598 }])
      t.strictSame(await query(recordsOf(execution.id)), [{ result: { rows: [{ balance: 598 }], rowCount: 1 } }])
      t.match(sent('POST /mails'), [{ to: 'ada@example.com', subject: 'You have 598 points' }])
    },
  },
  {
    rule: 'a mail that has to be sent again books nothing again',
    input: { order: { id: 'o-8', customer: 'grace@example.com', total: 1.5 } },
    rows: "INSERT INTO loyalty_accounts VALUES ('grace@example.com', 100)",
    world: { 'POST /mails': [status(503), 'hang up', ok({})] },
    async check(t, { execution, attempts, query }) {
      t.strictSame(execution.output, { customer: 'grace@example.com', balance: 115 })
      t.match(attempts, { book: 1, tell: 3 })
      t.strictSame(await query(balanceOf('grace@example.com')), [{ balance: 115 }])
    },
  },
  {
    rule: 'a booking that the database refuses leaves no record: nothing was done',
    input: { order: { id: 'o-9', customer: 'alan@example.com', total: 1e12 } },
    world: {},
    ends: 'failed',
    async check(t, { execution, query }) {
      t.match(execution.error, { type: 'DatabaseError', stepPath: 'book', details: { sqlstate: '22003' } })
      t.strictSame(await query(balanceOf('alan@example.com')), [])
      t.strictSame(await query(recordsOf(execution.id)), [])
    },
  },
]
