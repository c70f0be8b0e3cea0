import type { TurnsAsked, TurnsGiven } from '../../../src/repository/rate-limits.ts'
import { type Cases, caught, hour } from './cases.ts'
import type { Side } from './sides.ts'

/** One call an hour, none beside it. */
const hourly: TurnsAsked = {
  ...{ namespace: 'default', scope: 'shared:it\'s "quoted"', key: 'a,{b}\n"c"' },
  ...{ limit: 1, periodMs: hour, burst: 1, rank: 0, count: 1 },
}

/** Asks for one key. Answers in hours: what was granted, and what must come again. */
async function ask({ store }: Side, given: Partial<TurnsAsked> = {}, horizonHours = 0) {
  const answers = await store.takeTurns([{ ...hourly, ...given }], horizonHours * hour)
  return hoursOf(answers[0]!)
}

const hoursOf = ({ granted, later }: TurnsGiven) => ({
  granted: granted.map((ms) => Math.round(ms / hour)),
  later: later.map(({ afterMs }) => Math.round(afterMs / hour)),
})

const at = (...granted: number[]) => ({ granted, later: [] })
const later = (...places: number[]) => ({ granted: [], later: places })

/** How long a few statements may take on a busy machine, ms. */
const slack = 10_000

export const rateLimitCases: Cases = {
  'calls are spread evenly, after a burst': async (t, side) => {
    const rate = { limit: 4, periodMs: 4 * hour, burst: 3 }
    t.same(await ask(side, { ...rate, count: 6 }, 2), { granted: [0, 0, 0, 1, 2], later: [3] })
    const [{ later: places }] = (await side.store.takeTurns([{ ...hourly, key: 'b', count: 2 }], 0)) as [TurnsGiven]
    const now = await side.store.databaseNow()
    t.ok(places[0]!.at > now + hour - 60_000 && places[0]!.at <= now + hour + 1, 'the place is a time')
    t.equal(places[0]!.afterMs, hour)
  },

  'what was granted counts for whoever asks next, and what is far away counts for nothing': async (t, side) => {
    t.same(await ask(side), at(0))
    t.same(await ask(side, { rank: 1 }), later(1))
    t.same(await ask(side, { rank: 2 }), later(2), 'places are an interval apart')
    await side.ageRateLimits(hour)
    t.same(await ask(side, { rank: 2 }), at(0), 'places take nothing from the rate')
    await side.ageRateLimits(30 * hour)
    t.same(await ask(side, { count: 2 }), { granted: [0], later: [1] }, 'and what was not used is not saved up')
  },

  'a burst is there again when as much time has gone by': async (t, side) => {
    const burst = { burst: 3 }
    t.same(await ask(side, { ...burst, count: 4, rank: 2 }), { granted: [0, 0, 0], later: [1] })
    await side.ageRateLimits(2 * hour)
    t.same(await ask(side, { ...burst, count: 4, rank: 2 }).then(({ granted }) => granted), [0, 0])
  },

  'who asks for the first time goes behind all that wait': async (t, side) => {
    t.same(await ask(side, { count: 4 }), { granted: [0], later: [1, 2, 3] })
    t.same(await ask(side, { count: 2 }), later(4, 5))
    await side.ageRateLimits(hour)
    t.same(await ask(side, {}, 1), later(5), 'it is free, and not for it')
    t.same(await ask(side, { rank: 1 }), at(0), 'but for whose place has come')
  },

  'whose place has come and was taken waits in a line of its own, which goes first': async (t, side) => {
    await ask(side, { count: 10 })
    // For five hours nobody came: five places have passed.
    await side.ageRateLimits(5 * hour - slack)
    await ask(side, { rank: 2 })
    t.same(await ask(side, { rank: 1, count: 4 }), later(1, 2, 3, 4))
    t.same(await ask(side, { rank: 1 }), later(5), 'in the order in which they came')
    t.same(await ask(side), later(6), 'and who is new goes behind that')
    await side.ageRateLimits(hour)
    t.same(await ask(side, { rank: 1 }), later(5), 'it is free, and not for it')
    t.same(await ask(side, { rank: 2 }), at(0))
  },

  'a line to which nobody comes back is left': async (t, side) => {
    await ask(side, { count: 10 })
    await side.ageRateLimits(hour + 20_000 - slack)
    t.match(await ask(side), { granted: [] }, 'somebody may still come')
    await side.ageRateLimits(slack + 1_000)
    t.same(await ask(side), at(0))
    t.same(await ask(side), later(1), 'the line is forgotten')
    t.same(await ask(side, { rank: 1 }), later(1), 'who comes back all the same loses nothing')
  },

  'the newest rate counts, and limits that are no whole interval are rounded down': async (t, side) => {
    await ask(side)
    await side.ageRateLimits(hour / 3)
    t.same(await ask(side, { periodMs: 10 * hour, rank: 2, count: 2 }, 1), { granted: [1], later: [11] })
    const [{ granted }] = (await side.store.takeTurns(
      [{ ...hourly, key: 'b', limit: 3, periodMs: 1, count: 3 }],
      1,
    )) as [TurnsGiven]
    t.same(granted, [0, 0.334, 0.668])
    t.equal((await side.store.takeTurns([{ ...hourly, key: 'c', limit: 1_000_000, periodMs: 1 }], 0)).length, 1)
  },

  'the longest period, the largest burst and a long line are counted': async (t, side) => {
    const longest = { limit: 1, periodMs: 31 * 24 * hour, burst: 1_000_000, count: 2 }
    t.same(await ask(side, longest), at(0, 0))
    const [{ later: places }] = (await side.store.takeTurns(
      [{ ...hourly, ...longest, key: 'b', burst: 1, count: 10_000 }],
      0,
    )) as [TurnsGiven]
    t.equal(places.length, 9_999)
    t.ok(places.every((place) => Number.isSafeInteger(place.at)))
  },

  'of many that ask at once no more are granted than one after the other': async (t, side) => {
    const keys = ['a', 'b', 'c', 'd']
    const asked = (order: readonly string[]) => order.map((key) => ({ ...hourly, key, burst: 2, count: 1 }))
    const rounds = [asked(keys), asked(keys.toReversed()), asked(['c', 'a', 'd', 'b']), asked(keys)]
    const answers = await Promise.all(rounds.map((round) => side.store.takeTurns(round, 0)))
    for (const key of keys) {
      const given = answers.map((answer, round) => answer[rounds[round]!.findIndex((one) => one.key === key)]!)
      t.equal(given.flatMap(({ granted }) => granted).length, 2, key)
      const places = given.flatMap(({ later: places }) => places.map(({ afterMs }) => Math.round(afterMs / hour)))
      t.same(places.sort(), [1, 2])
    }
  },

  'keys are listed by scope and key, page by page, with when they are free': async (t, side) => {
    const { store } = side
    await store.takeTurns([{ ...hourly, scope: 'b', key: 'y', count: 3 }], 0)
    await store.takeTurns([{ ...hourly, scope: 'a', key: 'z', limit: 5, burst: 2 }], 0)
    await store.takeTurns([{ ...hourly, scope: 'b', key: 'x', namespace: 'other' }], 0)
    await store.takeTurns([{ ...hourly, scope: 'b', key: 'x' }], 0)
    const { items, nextCursor } = await store.listRateLimits({}, 10)
    t.equal(nextCursor, null)
    t.match(items, [
      { scope: 'a', key: 'z', limit: 5, periodMs: hour, burst: 2, freeAt: null },
      { scope: 'b', key: 'x', limit: 1, burst: 1 },
      { scope: 'b', key: 'y' },
    ])
    const inHours = ({ freeAt, askedAt }: { freeAt: number | null; askedAt: number }) =>
      Math.round((freeAt! - askedAt) / hour)
    t.same(items.slice(1).map(inHours), [1, 3])
    t.equal(items[1]!.grantedAt, items[1]!.askedAt)
    const first = await store.listRateLimits({}, 2)
    t.same(first.items, items.slice(0, 2))
    t.same(await store.listRateLimits({}, 2, first.nextCursor!), { items: items.slice(2), nextCursor: null })
    t.same((await store.listRateLimits({ scope: 'b', key: 'y' }, 10)).items, items.slice(2))
    for (const cursor of ['!', 'W10', Buffer.from('["a",1]').toString('base64url')])
      t.match(await caught(Promise.resolve().then(() => store.listRateLimits({}, 2, cursor))), {
        code: 'CURSOR_INVALID',
      })
  },

  'keys for which nobody asks any more go, when they are as free as new ones': async (t, side) => {
    const keysLeft = async () => (await side.store.listRateLimits({}, 10)).items.map(({ key }) => key)
    for (const key of ['a', 'b', 'c']) await ask(side, { key })
    await ask(side, { key: 'd', count: 5 })
    await side.ageRateLimits(2 * hour)
    await ask(side, { key: 'e' })
    t.equal(await side.upkeep.forgetRateLimits(hour, 2), 2)
    t.equal(await side.upkeep.forgetRateLimits(hour, 2), 1)
    t.equal(await side.upkeep.forgetRateLimits(hour, 2), 0)
    t.same(await keysLeft(), ['d', 'e'])
    t.equal(await side.upkeep.forgetRateLimits(-hour, 9), 0, 'not what is still to count')
  },
}
