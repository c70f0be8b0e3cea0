import type { Story } from '../story.ts'
import { created, ok, status } from '../world.ts'

export const stories: readonly Story[] = [
  {
    rule: 'it asks until somebody has decided, then opens the account and welcomes the customer',
    world: {
      'POST /accounts': [status(503), created({ accountId: 'a-1' })],
      'POST /identity-checks': ok({ risk: 'low' }),
      'POST /approvals': created({ approvalId: 'ap-1' }),
      'GET /approvals/ap-1': [status(425), status(425), status(425), status(425), ok({ approved: true, by: 'grace' })],
      'PUT /accounts/a-1/status': ok({}),
      'POST /mails': ok({}),
    },
    check(t, { execution, attempts, sent, statuses }) {
      t.strictSame(execution.output, { accountId: 'a-1', approved: true, by: 'grace' })
      t.match(attempts, { 'open-account': 2, 'await-approval': 5 })
      t.match(statuses, { decision: 'completed', activate: 'completed', welcome: 'completed', decline: 'skipped' })
      t.strictSame(sent('POST /approvals'), [{ subject: 'New customer Ada Lovelace', accountId: 'a-1', risk: 'low' }])
      t.strictSame(sent('PUT /accounts/a-1/status'), [{ status: 'active' }])
      t.match(sent('POST /mails'), [{ to: 'ada@example.com', subject: 'Welcome, Ada!' }])
    },
  },
  {
    rule: 'a customer whom somebody turned down gets the reason, and the account stays closed',
    input: { customer: { name: 'Charles Babbage', email: 'Charles@Example.com', country: 'DE' } },
    world: {
      'POST /accounts': created({ accountId: 'a-2' }),
      'POST /approvals': created({ approvalId: 'ap-2' }),
      'GET /approvals/ap-2': [status(425), ok({ approved: false, by: 'grace', reason: 'no proof of address' })],
      'POST /mails': ok({}),
    },
    check(t, { execution, sent, statuses }) {
      t.match(execution.output, { approved: false, by: 'grace' })
      t.match(statuses, { 'check-identity': 'skipped', activate: 'skipped', welcome: 'skipped', decline: 'completed' })
      t.match(sent('POST /accounts'), [{ name: 'Charles Babbage', email: 'charles@example.com', country: 'DE' }])
      t.match(sent('POST /approvals'), [{ risk: 'not checked' }])
      t.match(sent('POST /mails'), [{ text: 'We cannot open an account for you: no proof of address.' }])
    },
  },
  {
    rule: 'an approval that does not exist is not waited for',
    world: {
      'POST /accounts': created({ accountId: 'a-3' }),
      'POST /identity-checks': ok({ risk: 'low' }),
      'POST /approvals': created({ approvalId: 'ap-3' }),
      'GET /approvals/ap-3': status(404),
    },
    ends: 'failed',
    check(t, { execution, attempts }) {
      t.match(execution.error, { type: 'Http4xx', stepPath: 'await-approval', details: { status: 404 } })
      t.equal(attempts['await-approval'], 1)
    },
  },
]
