import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const shown = [
  { sku: 'lamp', quantity: 3 },
  { sku: 'chair', quantity: 4 },
  { sku: 'sofa', quantity: 1 },
]

export const stories: readonly Story[] = [
  {
    rule: 'the shop is corrected where it differs from the location, and the channel hears what was changed',
    rows: `INSERT INTO inventory_stock (sku, location, quantity) VALUES
      ('lamp', 'main', 5), ('desk', 'main', 2), ('sofa', 'main', 1), ('lamp', 'elsewhere', 99)`,
    world: {
      'GET /shop/stock': ['hang up', ok(shown)],
      'PUT /shop/stock': [status(503), ok({ updated: 3 })],
      'POST /chat/messages': [status(500), ok({})],
    },
    check(t, { execution, attempts, calls, sent }) {
      t.strictSame(execution.output, { differences: 3, corrected: 3 })
      t.match(attempts, { 'read-shop': 2, 'correct-shop': 2, report: 2 })
      t.equal(calls('PUT /shop/stock')[0]!.headers['x-reason'], `inventory sync ${execution.id}`)
      t.strictSame(sent('PUT /shop/stock').at(-1), {
        items: [
          { sku: 'lamp', quantity: 5 },
          { sku: 'chair', quantity: 0 },
          { sku: 'desk', quantity: 2 },
        ],
      })
      t.strictSame(sent('POST /chat/messages').at(-1), {
        channel: '#warehouse',
        text: 'lamp: 3 -> 5, chair: 4 -> 0, desk: 0 -> 2',
      })
    },
  },
  {
    rule: 'a dry run changes nothing and says so',
    input: { dryRun: true, location: 'north' },
    rows: `INSERT INTO inventory_stock (sku, location, quantity) VALUES ('chair', 'north', 4), ('lamp', 'north', 3)`,
    world: { 'GET /shop/stock': ok(shown), 'POST /chat/messages': ok({}) },
    check(t, { execution, sent, statuses }) {
      t.strictSame(execution.output, { differences: 1, corrected: 0 })
      t.equal(statuses['correct-shop'], 'skipped')
      t.match(sent('POST /chat/messages'), [{ text: 'sofa: 1 -> 0 (dry run)' }])
    },
  },
  {
    rule: 'stock that agrees is left alone',
    input: { location: 'south' },
    rows: `INSERT INTO inventory_stock (sku, location, quantity) VALUES ('desk', 'south', 7)`,
    world: { 'GET /shop/stock': ok([{ sku: 'desk', quantity: 7 }]) },
    check(t, { execution, statuses }) {
      t.strictSame(execution.output, { differences: 0, corrected: 0 })
      t.match(statuses, { 'correct-shop': 'skipped', report: 'skipped' })
    },
  },
]
