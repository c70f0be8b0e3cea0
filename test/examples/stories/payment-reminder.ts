import type { Story } from '../story.ts'
import { created, ok, status } from '../world.ts'

const payment = { invoice: 'A-17', amount: 12 }

export const stories: readonly Story[] = [
  {
    rule: 'who pays is left alone, and payments of other invoices do not count',
    signals: [
      { name: 'paid', payload: { invoice: 'B-2', amount: 1 } },
      { name: 'paid', payload: payment },
    ],
    world: {},
    check(t, { execution, statuses }) {
      t.strictSame(execution.output, { paid: true, payment })
      t.match(statuses, { remind: 'skipped', 'hand-over': 'skipped', stop: 'skipped' })
    },
  },
  {
    rule: 'after three reminders the claim is handed over, and the execution fails as Unpaid',
    variables: { patienceMs: 1, graceMs: 1 },
    ends: 'failed',
    world: { 'POST /mails': [status(503), ok({})], 'POST /claims': created({ claimId: 'K1' }) },
    check(t, { execution, sent }) {
      const subjects = new Set(sent('POST /mails').map((mail) => (mail as { subject: string }).subject))
      t.strictSame(
        [...subjects],
        [1, 2, 3].map((n) => `Reminder ${n} for invoice A-17`),
      )
      t.match(execution.error, {
        type: 'Unpaid',
        message: 'Invoice A-17 was not paid; claim K1 is open',
        stepPath: 'stop',
      })
    },
  },
]
