import type { Story } from '../story.ts'
import { created, ok, status } from '../world.ts'

const mail = { 'POST /mails': [status(503), ok({})] }

export const stories: readonly Story[] = [
  {
    rule: 'what the team approves is paid, and less than was asked for when they say so',
    decisions: [{ decision: 'approve', data: { amount: 100 }, by: 'grace', comment: 'less the shipping' }],
    world: { 'POST /refunds': [status(503), created({})] },
    check(t, { execution, sent, statuses }) {
      t.strictSame(execution.output, { outcome: 'refunded' })
      t.strictSame(sent('POST /refunds').at(-1), { order: 4711, amount: 100 })
      t.match(statuses, { ask: 'completed', remind: 'skipped', refuse: 'skipped' })
    },
  },
  {
    rule: 'a customer hears why a refund is refused',
    decisions: [{ decision: 'reject', by: 'grace', comment: 'it was worn' }],
    world: mail,
    check(t, { execution, sent }) {
      t.strictSame(execution.output, { outcome: 'refused' })
      t.match(sent('POST /mails').at(-1), { to: 'ada@example.com', why: 'it was worn' })
    },
  },
  {
    rule: 'nobody is asked about a small one',
    input: { amount: 20 },
    world: { 'POST /refunds': created({}) },
    check(t, { execution, sent, statuses, events }) {
      t.strictSame(execution.output, { outcome: 'refunded' })
      t.strictSame(sent('POST /refunds'), [{ order: 4711, amount: 20 }])
      t.match(statuses, { ask: 'skipped' })
      t.notOk(events.some(({ type }) => type === 'approval.requested'))
    },
  },
  {
    rule: 'when nobody decides the team is reminded, then their head is told, then it is refused',
    variables: { patienceMs: 1 },
    world: mail,
    check(t, { execution, sent, steps }) {
      t.strictSame(execution.output, { outcome: 'refused' })
      const mails = sent('POST /mails') as { to: string; approval?: string }[]
      const { approvalId } = steps.ask!
      t.strictSame(
        [...new Set(mails.map(({ to }) => to))],
        ['finance@example.com', 'grace@example.com', 'ada@example.com'],
      )
      t.strictSame(mails.filter(({ approval }) => approval === approvalId).length, 3, 'one of them is sent twice')
    },
  },
]
