import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const invoice = { supplier: 'Miller', number: '2026-77', total: 119.9, confidence: 0.95 }
const stored = (id: string) => `SELECT supplier, number, total FROM document_invoices WHERE document_id = '${id}'`

export const stories: readonly Story[] = [
  {
    rule: 'an invoice is stored once the agent answers with what fits the schema',
    world: {
      'GET /documents/invoice-7': [status(503), ok('Miller, invoice 2026-77, 119.90 EUR')],
      'agent document-reader': [ok({ supplier: 'Miller' }), ok('It is from Miller.'), ok(invoice)],
    },
    async check(t, { execution, attempts, calls, sent, statuses, query }) {
      t.strictSame(execution.output, { documentId: 'invoice-7', invoice, stored: true })
      t.strictSame(await query(stored('invoice-7')), [{ supplier: 'Miller', number: '2026-77', total: '119.90' }])
      t.match(attempts, { 'fetch-document': 2, 'extract-fields': 3 })
      t.match(statuses, { 'store-invoice': 'completed', 'ask-a-person': 'skipped' })
      t.equal(calls('GET /documents/invoice-7')[0]!.headers.accept, 'text/plain')
      t.match(sent('agent document-reader')[0], {
        temperature: 0,
        messages: [{ role: 'user', content: /\n\nMiller, invoice 2026-77, 119.90 EUR$/ }],
        response_format: { json_schema: { schema: { required: ['supplier', 'number', 'total', 'confidence'] } } },
      })
    },
  },
  {
    rule: 'an invoice that the agent is not sure of goes to a person',
    input: { documentId: 'fax 8/9' },
    world: {
      'GET /documents/fax%208%2F9': ok('M?ll?r, 119'),
      'agent document-reader': ok({ ...invoice, confidence: 0.79 }),
      'POST /reviews': [status(503), ok({})],
    },
    async check(t, { execution, sent, statuses, query }) {
      t.match(execution.output, { stored: false })
      t.strictSame(sent('POST /reviews').at(-1), { documentId: 'fax 8/9', found: { ...invoice, confidence: 0.79 } })
      t.match(statuses, { 'create-table': 'skipped', 'store-invoice': 'skipped', 'ask-a-person': 'completed' })
      t.strictSame(await query(stored('fax 8/9')), [])
    },
  },
  {
    rule: 'an empty document fails before an agent is asked',
    world: { 'GET /documents/invoice-7': ok(' \n ') },
    ends: 'failed',
    check(t, { execution, asked }) {
      t.match(execution.error, { stepPath: 'not-empty' })
      t.strictSame(asked, ['GET /documents/invoice-7'])
    },
  },
]
