import type { Story } from '../story.ts'
import { created, ok, status } from '../world.ts'

const mail = { 'POST /mails': [status(503), ok({})] }

export const stories: readonly Story[] = [
  {
    rule: 'who accepts in time gets an order, and what comes after that changes nothing',
    signals: [
      { name: 'accepted', payload: { quote: 'Q-8', by: 'Grace' } },
      { name: 'accepted', payload: { quote: 'Q-7', by: 'Ada' } },
    ],
    world: { ...mail, 'POST /orders': [status(503), created({ orderId: 'o-1' })] },
    check(t, { execution, sent, statuses }) {
      t.strictSame(execution.output, { outcome: 'accepted', order: { orderId: 'o-1' } })
      t.strictSame(sent('POST /orders').at(-1), { quote: 'Q-7', by: 'Ada' })
      t.match(statuses, { refusal: 'cancelled', validity: 'cancelled', withdraw: 'pending' })
    },
  },
  {
    rule: 'who declines gets none',
    signals: [{ name: 'declined', payload: { quote: 'Q-7' } }],
    world: mail,
    check(t, { execution }) {
      t.strictSame(execution.output, { outcome: 'declined', order: null })
    },
  },
  {
    rule: 'a quote that nobody answers expires',
    variables: { validMs: 1 },
    world: { ...mail, 'PUT /quotes/Q-7': ok({ status: 'expired' }) },
    check(t, { execution, sent, statuses }) {
      t.match(execution.output, { outcome: 'expired', order: { status: 'expired' } })
      t.strictSame(sent('PUT /quotes/Q-7'), [{ status: 'expired' }])
      t.match(statuses, { acceptance: 'cancelled', refusal: 'cancelled', order: 'pending' })
    },
  },
]
