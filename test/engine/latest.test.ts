import t from 'tap'
import { Gate } from '../../src/engine/gate.ts'
import { Latest } from '../../src/engine/latest.ts'

t.test('who asks while a job runs gets the next one, shared by all who came meanwhile', async (t) => {
  const jobs: PromiseWithResolvers<number>[] = []
  const latest = new Latest(() => {
    const job = Promise.withResolvers<number>()
    jobs.push(job)
    return job.promise
  })
  const first = latest.get('a')
  const others = [latest.get('a'), latest.get('a'), latest.get('a')]
  await Promise.resolve()
  t.equal(jobs.length, 1)
  jobs[0]!.resolve(1)
  t.equal(await first, 1)
  while (jobs.length < 2) await Promise.resolve()
  jobs[1]!.resolve(2)
  t.same(await Promise.all(others), [2, 2, 2])
  t.equal(jobs.length, 2)
})

t.test('a job that fails fails those who shared it, and nobody after them', async (t) => {
  let count = 0
  const latest = new Latest(async () => {
    count += 1
    if (count === 1) throw new Error('first')
    return count
  })
  const first = latest.get('a')
  const second = latest.get('a')
  await t.rejects(first, /first/)
  t.equal(await second, 2)
  t.equal(await latest.get('a'), 3)
})

t.test('keys do not wait for each other', async (t) => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const latest = new Latest((key) => (key === 'slow' ? promise : Promise.resolve(key)))
  const slow = latest.get('slow')
  t.equal(await latest.get('quick'), 'quick')
  resolve('slow')
  t.equal(await slow, 'slow')
})

t.test('a gate lets so many through at once, in order, also after failures', async (t) => {
  const gate = new Gate(2)
  const begun: number[] = []
  const jobs = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const all = jobs.map((job, i) =>
    gate.run(() => {
      begun.push(i)
      return job.promise
    }),
  )
  t.same(begun, [0, 1])
  jobs[1]!.reject(new Error('second'))
  await t.rejects(all[1]!, /second/)
  t.same(begun, [0, 1, 2])
  for (const job of jobs) job.resolve()
  await Promise.allSettled(all)
  t.same(begun, [0, 1, 2, 3, 4])
})
