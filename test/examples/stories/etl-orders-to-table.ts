import type { Story } from '../story.ts'
import { ok, status } from '../world.ts'

const orders = [
  {
    id: 'o-1',
    status: 'paid',
    customer: { email: ' Ada@Example.com ' },
    lines: [
      { quantity: 2, price: 19.95 },
      { quantity: 1, price: 0.2 },
    ],
  },
  { id: 'o-2', status: 'cancelled', customer: { email: 'x@example.com' }, lines: [{ quantity: 9, price: 9 }] },
  { id: 'o-3', status: 'shipped', customer: { email: 'grace@example.com' }, lines: [{ quantity: 2, price: 0.1 }] },
]
const rowsOf = (day: string) => `SELECT id, customer, amount::float8, currency, items FROM etl_orders
  WHERE day = '${day}' ORDER BY id`
const rows = [
  { id: 'o-1', customer: 'ada@example.com', amount: 40.1, currency: 'EUR', items: 3 },
  { id: 'o-3', customer: 'grace@example.com', amount: 0.2, currency: 'EUR', items: 2 },
]

export const stories: readonly Story[] = [
  {
    rule: 'orders that were not cancelled are in the table, though the shop was down at first',
    world: { 'GET /orders': [status(503), 'hang up', ok(orders)] },
    async check(t, { execution, attempts, calls, query }) {
      t.strictSame(execution.output, { day: '2026-11-21', loaded: 2, revenue: 40.3 })
      t.strictSame(await query(rowsOf('2026-11-21')), rows)
      t.equal(attempts['extract-orders'], 3)
      t.strictSame(calls('GET /orders')[0]!.query, { day: '2026-11-21' })
    },
  },
  {
    rule: 'a day that is loaded again replaces its rows',
    input: { day: '2026-11-22' },
    rows: `INSERT INTO etl_orders SELECT id, '2026-11-22', 'old@example.com', 1, 'EUR', 1 FROM unnest(ARRAY['o-1', 'o-3']) AS id
      ON CONFLICT (id) DO UPDATE SET day = excluded.day, customer = excluded.customer, amount = 1, items = 1`,
    world: { 'GET /orders': ok(orders) },
    async check(t, { execution, query }) {
      t.match(execution.output, { loaded: 2, revenue: 40.3 })
      t.strictSame(await query(rowsOf('2026-11-22')), rows)
    },
  },
  {
    rule: 'a day without orders ends well and loads nothing',
    input: { day: '2026-11-23' },
    world: { 'GET /orders': ok([]) },
    async check(t, { execution, statuses, query }) {
      t.strictSame(execution.output, { day: '2026-11-23', loaded: 0, revenue: 0 })
      t.strictSame([statuses['shape-rows'], statuses['load-rows']], ['skipped', 'skipped'])
      t.strictSame(await query(rowsOf('2026-11-23')), [])
    },
  },
]
