import t from 'tap'
import { validate, version } from 'uuid'
import { TimeOrderedIds } from '../../src/engine/time-ordered-ids.ts'

const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

t.test('ids are UUIDv7s of now, all different, in the order in which they were made', (t) => {
  const before = Date.now()
  const ids = new TimeOrderedIds()
  const made = Array.from({ length: 10_000 }, () => ids.next())
  const after = Date.now()
  t.ok(made.every((id) => validate(id) && version(id) === 7))
  t.equal(new Set(made).size, made.length)
  t.same(made, made.toSorted())
  t.ok(made.every((id) => timeOf(id) >= before && timeOf(id) <= after))
  t.end()
})

t.test('two sources have nothing in common', (t) => {
  const [one, other] = [new TimeOrderedIds(), new TimeOrderedIds()]
  const random = (ids: TimeOrderedIds) => Array.from({ length: 300 }, () => ids.next().slice(24))
  const seen = new Set([...random(one), ...random(other)])
  t.equal(seen.size, 600)
  t.end()
})

t.test('a clock that goes back makes no earlier ids', (t) => {
  const ids = new TimeOrderedIds()
  const now = Date.now
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => 2_000_000_000_000
  const first = ids.next()
  Date.now = () => 1_000_000_000_000
  const second = ids.next()
  t.ok(second > first)
  t.equal(timeOf(second), 2_000_000_000_000)
  t.end()
})
