import type { Story } from '../story.ts'
import { ok, status, together } from '../world.ts'

const order = { id: 'o-2', customer: 'ada@example.com', total: 59.8, lines: [{ sku: 'lamp', quantity: 2 }] }
const atOnce = together(2)
const bothAsked = together(2)

export const stories: readonly Story[] = [
  {
    rule: 'stock and fraud are looked into at once, the rest comes after what it depends on',
    world: {
      'POST /stock/reservations': [atOnce(status(503)), ok({ reservationId: 'r-1' })],
      'POST /fraud/scores': atOnce(ok({ score: 12 })),
      'POST /payments': [status(500), 'hang up', ok({ paymentId: 'p-1' })],
      'POST /warehouse/gift-wraps': ok({}),
      'POST /warehouse/pick-lists': ok({ pickListId: 'l-1' }),
      'POST /shipments': [status(429), ok({ tracking: 'https://carrier.example.com/t-1' })],
      'POST /mails': ok({}),
    },
    check(t, { execution, asked, attempts, sent }) {
      const tracking = 'https://carrier.example.com/t-1'
      t.strictSame(execution.output, { order: 'o-1001', payment: 'p-1', tracking })
      t.match(attempts, { 'reserve-stock': 2, 'check-fraud': 1, 'capture-payment': 3, 'book-carrier': 2 })
      const before = asked.slice(0, asked.indexOf('POST /payments'))
      t.equal(before.filter((route) => route === 'POST /stock/reservations').length, 2, 'paid once stock is reserved')
      t.ok(before.includes('POST /fraud/scores'), 'paid once the score is known')
      t.ok(asked.indexOf('POST /warehouse/pick-lists') > asked.lastIndexOf('POST /payments'), 'packed once it is paid')
      const payment = { order: 'o-1001', amount: 59.8, reservation: 'r-1' }
      t.strictSame(sent('POST /payments'), [payment, payment, payment])
      t.strictSame(sent('POST /warehouse/gift-wraps'), [{ order: 'o-1001' }])
      t.strictSame(sent('POST /warehouse/pick-lists'), [{ order: 'o-1001', text: '2 x lamp' }])
      t.strictSame(sent('POST /shipments').at(-1), { order: 'o-1001', pickList: 'l-1' })
      const mails = sent('POST /mails') as { subject: string; text: string }[]
      t.strictSame(mails.map(({ subject }) => subject).sort(), [
        'Order o-1001 is on its way',
        'Receipt for order o-1001',
      ])
      t.match(mails.map(({ text }) => text).join('\n'), tracking)
    },
  },
  {
    rule: 'nothing is wrapped that is no gift',
    input: { order },
    world: {
      'POST /stock/reservations': ok({ reservationId: 'r-2' }),
      'POST /fraud/scores': ok({ score: 79 }),
      'POST /payments': ok({ paymentId: 'p-2' }),
      'POST /warehouse/pick-lists': ok({ pickListId: 'l-2' }),
      'POST /shipments': ok({ tracking: 't-2' }),
      'POST /mails': ok({}),
    },
    check(t, { statuses }) {
      t.match(statuses, { 'gift-wrap': 'skipped', 'send-tracking': 'completed' })
    },
  },
  {
    rule: 'a bad score fails the order before anything is paid',
    input: { order },
    world: {
      'POST /stock/reservations': bothAsked(ok({ reservationId: 'r-3' })),
      'POST /fraud/scores': bothAsked(ok({ score: 80 })),
    },
    ends: 'failed',
    check(t, { execution, statuses }) {
      t.match(execution.error, { stepPath: 'fulfil.fraud-gate' })
      t.match(statuses, { 'fraud-gate': 'failed', 'capture-payment': 'pending', pack: 'pending' })
    },
  },
  {
    rule: 'a declined payment is not tried again, and nothing is shipped',
    input: { order },
    world: {
      'POST /stock/reservations': ok({ reservationId: 'r-4' }),
      'POST /fraud/scores': ok({ score: 0 }),
      'POST /payments': status(402),
    },
    ends: 'failed',
    check(t, { execution, attempts, sent, statuses }) {
      t.match(execution.error, { type: 'Http4xx', stepPath: 'fulfil.capture-payment', details: { status: 402 } })
      t.equal(attempts['capture-payment'], 1)
      t.equal(sent('POST /payments').length, 1)
      t.match(statuses, { pack: 'pending', 'send-receipt': 'pending' })
    },
  },
]
