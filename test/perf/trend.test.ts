import t from 'tap'
import { trendOf } from '../../perf/trend.ts'

/** A sample every five seconds for half an hour. */
const course = (value: (second: number) => number) =>
  Array.from({ length: 360 }, (_, i) => ({ at: i * 5_000, value: value(i * 5) }))

t.test('what goes up all the time grows, and by how much an hour', async (t) => {
  const { verdict, perHour } = trendOf(
    course((second) => 100 + second / 60),
    1,
  )
  t.equal(verdict, 'grows')
  t.equal(Math.round(perHour), 60)
})

t.test('a leak grows though it is less than a collection leaves now and then', async (t) => {
  const noisy = course((second) => 50 + second / 200 + (second % 35 === 0 ? 20 : 0))
  t.equal(trendOf(noisy, 1).verdict, 'grows')
})

t.test('what goes up and down between two vacuums does not grow', async (t) => {
  t.equal(
    trendOf(
      course((second) => 1_000 + (second % 400) * 10),
      500,
    ).verdict,
    'does not grow',
  )
})

t.test('what goes up below the floor, or by less than a twentieth, does not grow', async (t) => {
  t.equal(
    trendOf(
      course((second) => second / 1_000),
      3,
    ).verdict,
    'does not grow',
  )
  t.equal(
    trendOf(
      course((second) => 1_000 + second / 60),
      1,
    ).verdict,
    'does not grow',
  )
})

t.test('what has filled up in the first third does not grow', async (t) => {
  t.equal(
    trendOf(
      course((second) => Math.min(200, 100 + second)),
      1,
    ).verdict,
    'does not grow',
  )
})
