import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

export const stories: readonly Story[] = [
  {
    rule: 'the report adds up the sales of its day alone, and is posted though the chat was down at first',
    rows: `INSERT INTO report_sales (sold_on, region, product, amount) VALUES
      ('2026-11-21', 'north', 'lamp', 20.10), ('2026-11-21', 'north', 'desk', 80.40), ('2026-11-21', 'south', 'lamp', 12),
      ('2026-11-21', 'south', 'chair', 5), ('2026-11-21', 'south', 'shelf', 0.5), ('2026-11-20', 'west', 'bed', 900)`,
    world: { 'POST /chat/messages': [status(502), ok({})] },
    check(t, { execution, attempts, sent, statuses }) {
      const text = [
        'Sales of 2026-11-21: 5 for 118.00 EUR',
        'north              100.50',
        'south               17.50',
        'Top: lamp, chair, desk',
      ].join('\n')
      t.strictSame(execution.output, { day: '2026-11-21', sales: 5, amount: 118, text })
      t.strictSame(sent('POST /chat/messages').at(-1), { channel: '#sales', text })
      t.equal(attempts.post, 2)
      t.match(statuses, { totals: 'completed', 'by-region': 'completed', 'top-products': 'completed' })
    },
  },
  {
    rule: 'a day on which nothing was sold is reported as such, to the channel that is asked for',
    input: { day: '2026-11-22', channel: '#quiet' },
    world: { 'POST /chat/messages': ok({}) },
    check(t, { execution, sent }) {
      const text = 'Sales of 2026-11-22: 0 for 0.00 EUR\n\nTop: nothing sold'
      t.strictSame(execution.output, { day: '2026-11-22', sales: 0, amount: 0, text })
      t.strictSame(sent('POST /chat/messages'), [{ channel: '#quiet', text }])
    },
  },
]
