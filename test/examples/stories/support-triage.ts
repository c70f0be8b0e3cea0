import type { Story } from '../story.ts'
import { ok, status, together } from '../world.ts'

const atOnce = together(2)
const ticket = { id: 't-10', from: 'linus@example.com', text: 'I was charged twice.' }

export const stories: readonly Story[] = [
  {
    rule: 'for an urgent ticket somebody is paged while the agent drafts the answer, which is sent',
    world: {
      'agent triage': [
        status(503),
        ok({ category: 'technical', urgent: true, summary: 'Nobody can log in' }),
        atOnce(ok('We have seen it. We are on it.')),
      ],
      'POST /pager/incidents': [atOnce(status(500)), ok({})],
      'POST /mails': [status(503), ok({})],
    },
    check(t, { execution, attempts, sent, statuses }) {
      t.strictSame(execution.output, { ticket: 't-9', category: 'technical', urgent: true, answered: true })
      t.match(attempts, { classify: 2, page: 2, 'draft-answer': 1, 'send-answer': 2 })
      t.strictSame(sent('POST /pager/incidents').at(-1), { title: 'Nobody can log in', ticket: 't-9' })
      t.match(sent('agent triage').at(-1), {
        messages: [
          { role: 'system', content: /two friendly sentences/ },
          { role: 'user', content: /Nobody can log in/ },
        ],
      })
      t.strictSame(sent('POST /mails').at(-1), {
        to: 'grace@example.com',
        subject: 'Re: ticket t-9',
        text: 'We have seen it. We are on it.',
      })
      t.match(statuses, { 'urgent-work': 'completed', 'is-billing': 'skipped', 'to-finance': 'skipped' })
    },
  },
  {
    rule: 'money is a matter for finance',
    input: { ticket },
    world: {
      'agent triage': ok({ category: 'billing', urgent: false, summary: 'Charged twice' }),
      'PATCH /tickets/t-10': [status(503), ok({})],
    },
    check(t, { execution, sent, statuses }) {
      t.strictSame(execution.output, { ticket: 't-10', category: 'billing', urgent: false, answered: false })
      t.strictSame(sent('PATCH /tickets/t-10').at(-1), { queue: 'finance', summary: 'Charged twice' })
      t.match(statuses, { page: 'skipped', 'send-answer': 'skipped', 'to-first-level': 'skipped' })
    },
  },
  {
    rule: 'the rest goes to the first level',
    input: { ticket },
    world: {
      'agent triage': ok({ category: 'other', urgent: false, summary: 'A question' }),
      'PATCH /tickets/t-10': ok({}),
    },
    check(t, { sent, statuses }) {
      t.match(sent('PATCH /tickets/t-10'), [{ queue: 'first-level' }])
      t.match(statuses, { 'to-finance': 'skipped', 'to-first-level': 'completed' })
    },
  },
]
