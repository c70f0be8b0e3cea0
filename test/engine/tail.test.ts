import t from 'tap'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { Ring } from '../../src/engine/ring.ts'
import { messageOf } from '../../src/engine/stream-message.ts'
import type { Subscriber } from '../../src/engine/subscriber.ts'
import { Tail, type TailContext } from '../../src/engine/tail.ts'

const eventOf = (seq: number, bytes = 0): JournalEvent => ({
  executionId: 'one',
  seq,
  type: 'step.completed',
  path: 'a',
  attempt: 1,
  at: seq,
  percentage: 0,
  data: { output: 'x'.repeat(bytes) },
})
const MIB = 1024 * 1024

t.test('a ring holds what its bounds allow, and one message whatever its size', async (t) => {
  const ring = new Ring({ used: 0 })
  ring.restart(1)
  t.notOk(ring.isFull)
  ring.push(messageOf(eventOf(1, 5 * MIB)))
  t.ok(ring.isFull)
  ring.dropOldest()
  t.equal(ring.first, 2)
  t.notOk(ring.isFull)
  for (let seq = 2; !ring.isFull; seq++) ring.push(messageOf(eventOf(seq)))
  ring.dropOldest()
  t.equal(ring.first, 502, 'a quarter of 2,000 goes')
  t.equal(ring.at(502).seq, 502)
})

t.test('all rings together hold what the budget allows', async (t) => {
  const budget = { used: 0 }
  const rings = Array.from({ length: 40 }, () => new Ring(budget))
  for (const ring of rings) {
    ring.restart(1)
    for (let seq = 1; seq <= 3; seq++) {
      if (ring.isFull) ring.dropOldest()
      ring.push(messageOf(eventOf(seq, MIB)))
    }
    t.equal(ring.at(3).seq, 3, 'the newest is there')
  }
  t.ok(budget.used < 64 * MIB + rings.length * 1.1 * MIB, `${budget.used} bytes`)
  for (const ring of rings) ring.restart(1)
  t.equal(budget.used, 0)
})

t.test('hints go with the event that they came before', async (t) => {
  const ring = new Ring({ used: 0 })
  ring.restart(1)
  const hint = { type: 'step.started', executionId: 'one', path: 'a', attempt: 1, at: 1 } as const
  for (let i = 0; i < 1_000; i++) ring.hint(1, hint)
  t.equal(ring.hintsAt(1).length, 256)
  ring.push(messageOf(eventOf(1)))
  ring.hint(2, hint)
  ring.dropBelow(2)
  t.same(ring.hintsAt(1), [])
  t.equal(ring.hintsAt(2).length, 1)
})

t.test('a delivery that must stop for others goes on where it was, and comes round to the first again', async (t) => {
  const context: TailContext = {
    monotonic: () => performance.now(),
    budget: { used: 0 },
    read: async () => [],
    schedule: () => {},
    stalled: () => {},
  }
  const tail = new Tail('one', context)
  const served: number[] = []
  for (let i = 0; i < 3; i++) {
    tail.subscribers.add({ deliver: () => served.push(i), needs: Number.POSITIVE_INFINITY } as unknown as Subscriber)
  }
  tail.place(1)
  tail.offer([eventOf(1)])
  const past = performance.now() - 1
  t.equal(tail.deliver(past), false)
  t.equal(tail.deliver(past), false)
  t.equal(tail.deliver(past), false)
  t.equal(tail.deliver(past), false, 'the round is over, but it took more than one turn')
  t.same(served, [0, 1, 2])
  t.equal(tail.deliver(), true)
  t.same(served, [0, 1, 2, 0, 1, 2])
  t.equal(tail.ring.first, 2)
})
