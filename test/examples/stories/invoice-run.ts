import type { Json, JsonObject } from '../../../src/definition/json.ts'
import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const invoices: JsonObject[] = [
  { id: 'A', email: 'ada@example.com', amount: 10 },
  { id: 'B', email: 'no address', amount: 20 },
  { id: 'C', email: 'cy@example.com', amount: 30 },
  { id: 'D', email: 'di@example.com', amount: 40 },
]
const mailFor =
  (refused: Record<string, number>) =>
  ({ body }: { body: Json }) => {
    const { to } = body as { to: string }
    return to in refused ? status(refused[to]!) : ok({ mailed: to })
  }

export const stories: readonly Story[] = [
  {
    rule: 'every invoice is mailed, and accounting hears of a large run',
    world: {
      'GET /invoices': [status(503), ok(invoices)],
      'POST /mails': mailFor({}),
      'POST /chat/messages': ok({}),
    },
    check(t, { execution, sent }) {
      t.strictSame(execution.output, { sent: invoices.map(({ email }) => ({ mailed: email })), total: 100 })
      t.match(sent('POST /chat/messages'), [{ text: '2026-10: 4 invoices, 100 EUR' }])
    },
  },
  {
    rule: 'what has no address is printed; one that fails altogether leaves a gap and does not stop the run',
    world: {
      'GET /invoices': ok(invoices),
      'POST /mails': mailFor({ 'no address': 422, 'cy@example.com': 404 }),
      'POST /print-jobs': ok({ printed: true }),
      'POST /chat/messages': ok({}),
    },
    check(t, { execution, sent }) {
      t.match(execution.output, {
        sent: [{ mailed: 'ada@example.com' }, { printed: true }, null, { mailed: 'di@example.com' }],
      })
      t.strictSame(sent('POST /print-jobs'), [{ invoice: 'B' }])
    },
  },
  {
    rule: 'more failures than a quarter stop the run, with the error of the last one',
    ends: 'failed',
    world: { 'GET /invoices': ok(invoices), 'POST /mails': status(404) },
    check(t, { execution }) {
      t.match(execution.error, { type: 'Http4xx', stepPath: /^send-all\[\d\]\.deliver\[steps\]\.mail$/ })
    },
  },
  {
    rule: 'a small run is nobody’s concern',
    variables: { largeRun: 100 },
    world: { 'GET /invoices': ok(invoices.slice(0, 1)), 'POST /mails': mailFor({}) },
    check(t, { statuses, execution }) {
      t.equal(statuses['tell-accounting'], 'skipped')
      t.match(execution.output, { total: 10 })
    },
  },
]
