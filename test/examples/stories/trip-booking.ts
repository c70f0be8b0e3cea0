import type { Story } from '../story.ts'
import { created, ok, status } from '../world.ts'

const booked = (bookingId: string, rest: object = {}) => created({ bookingId, ...rest })

export const stories: readonly Story[] = [
  {
    rule: 'a trip that can be had is booked, and nothing is cancelled',
    world: {
      'POST /flights': [status(503), booked('f-1')],
      'POST /hotels': booked('h-1', { deposit: 50 }),
      'POST /cars': booked('c-1'),
    },
    check(t, { execution }) {
      t.strictSame(execution.output, { flight: 'f-1', hotel: 'h-1', car: 'c-1' })
    },
  },
  {
    rule: 'without a car the hotel and then the flight are cancelled, and the customer is told',
    world: {
      'POST /flights': booked('f-2'),
      'POST /hotels': booked('h-2', { deposit: 50 }),
      'POST /cars': status(409),
      'DELETE /hotels/h-2': [status(503), ok({})],
      'POST /refunds': created({}),
      'DELETE /flights/f-2': ok({}),
      'POST /mails': ok({}),
    },
    ends: 'failed',
    check(t, { execution, asked, sent, statuses, attempts }) {
      t.match(execution.error, { type: 'Http4xx', stepPath: 'stay.car', details: { status: 409 } })
      t.strictSame(asked.slice(-5), [
        'DELETE /hotels/h-2',
        'DELETE /hotels/h-2',
        'POST /refunds',
        'DELETE /flights/f-2',
        'POST /mails',
      ])
      t.strictSame(sent('POST /refunds'), [{ amount: 50, since: 'Http4xx' }])
      t.match(statuses, { 'cancel-hotel': 'completed', 'compensate-flight': 'completed', tell: 'completed' })
      t.equal(attempts['cancel-hotel'], 2)
    },
  },
  {
    rule: 'a flight that cannot be cancelled is named beside what went wrong first',
    world: {
      'POST /flights': booked('f-3'),
      'POST /hotels': status(410),
      'POST /cars': status(410),
      'DELETE /flights/f-3': status(403),
      'POST /mails': ok({}),
    },
    ends: 'failed',
    check(t, { execution }) {
      t.match(execution.error, {
        message: /^POST .* answered 410; then the compensation of flight failed: DELETE .* answered 403$/,
        details: { aftermathFailures: [{ type: 'Http4xx', stepPath: 'flight[compensate].compensate-flight' }] },
      })
    },
  },
]
