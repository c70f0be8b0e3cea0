import t from 'tap'
import { validate, version } from 'uuid'
import { TimeOrderedIds } from '../../src/engine/time-ordered-ids.ts'

const timeOf = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

t.test('ids are UUIDv7s of the time given, all different, in the order in which they were made', (t) => {
  const ids = new TimeOrderedIds()
  const made = Array.from({ length: 10_000 }, (_, index) => ids.next(2_000_000_000_000 + Math.floor(index / 3)))
  t.ok(made.every((id) => validate(id) && version(id) === 7))
  t.equal(new Set(made).size, made.length)
  t.same(made, made.toSorted())
  t.ok(made.every((id, index) => timeOf(id) === 2_000_000_000_000 + Math.floor(index / 3)))
  t.end()
})

t.test('two sources have nothing in common', (t) => {
  const [one, other] = [new TimeOrderedIds(), new TimeOrderedIds()]
  const random = (ids: TimeOrderedIds) => Array.from({ length: 300 }, () => ids.next(2_000_000_000_000).slice(24))
  const seen = new Set([...random(one), ...random(other)])
  t.equal(seen.size, 600)
  t.end()
})

t.test('a clock that goes back makes no earlier ids', (t) => {
  const ids = new TimeOrderedIds()
  const first = ids.next(2_000_000_000_000)
  const second = ids.next(1_000_000_000_000)
  t.ok(second > first)
  t.equal(timeOf(second), 2_000_000_000_000)
  t.end()
})
