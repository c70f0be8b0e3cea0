import type { Story } from '../story.ts'
import { bankToken, created } from '../world.ts'

const invoice = { id: 'inv-42', iban: 'DE89 3704 0044 0532 0130 00', amount: 1250.5 }
const ledger = (id: string) => `SELECT transfer_id, amount, execution_id FROM payment_ledger WHERE invoice_id = '${id}'`

export const stories: readonly Story[] = [
  {
    rule: 'the bank gets one transfer, announced in the journal before it is made, and the ledger has it',
    world: { 'POST /bank/transfers': created({ transferId: 'tr-1' }) },
    async check(t, { execution, calls, events, query }) {
      t.strictSame(execution.output, { invoice: 'inv-42', transfer: 'tr-1' })
      const [transfer, ...more] = calls('POST /bank/transfers')
      t.strictSame(more, [])
      t.match(transfer, {
        headers: { authorization: `Bearer ${bankToken}` },
        body: { iban: 'DE89370400440532013000', amount: '1250.50', reference: 'Invoice inv-42' },
      })
      t.strictSame(
        events.filter(({ path }) => path === 'transfer').map(({ type, attempt }) => [type, attempt]),
        [
          ['step.started', 1],
          ['step.completed', 1],
        ],
      )
      const row = { transfer_id: 'tr-1', amount: '1250.50', execution_id: execution.id }
      t.strictSame(await query(ledger('inv-42')), [row])
    },
  },
  {
    rule: 'an invoice that the ledger has is not paid again',
    input: { invoice: { ...invoice, id: 'inv-43' } },
    rows: `INSERT INTO payment_ledger VALUES ('inv-43', 'tr-0', 1250.5, 'earlier')`,
    world: {},
    check(t, { execution, statuses }) {
      t.strictSame(execution.output, { invoice: 'inv-43' })
      t.match(statuses, { 'within-limit': 'skipped', transfer: 'skipped', record: 'skipped' })
    },
  },
  {
    rule: 'an amount above the limit fails before the bank is asked',
    input: { invoice: { ...invoice, id: 'inv-44', amount: 10_000.01 } },
    world: {},
    ends: 'failed',
    check(t, { execution }) {
      t.match(execution.error, { stepPath: 'within-limit' })
    },
  },
  {
    rule: 'a transfer of which nobody knows whether it happened is not repeated',
    input: { invoice: { ...invoice, id: 'inv-45' } },
    world: { 'POST /bank/transfers': 'hang up' },
    ends: 'failed',
    async check(t, { execution, asked, query }) {
      t.match(execution.error, { type: 'ConnectionError', stepPath: 'transfer', attempt: 1 })
      t.strictSame(asked, ['POST /bank/transfers'])
      t.strictSame(await query(ledger('inv-45')), [])
    },
  },
]
