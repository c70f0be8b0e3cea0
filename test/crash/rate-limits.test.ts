/** A step that waits for its place in the line of a rate limit, and whose node is killed, goes on when that has come: once. */
import t from 'tap'
import { step } from './scenario.ts'
import { deadAreSwept, dies, endsElsewhere, prepare } from './scene.ts'

t.jobs = 2
t.setTimeout(300_000)

/** So long that the second step asks before its place comes, however busy the machine is. */
const periodMs = 3_000
const rateLimit = { scope: 'ledger', limit: 1, periodMs }
const definition = {
  name: 'limited',
  steps: [step('one', {}, { rateLimit }), step('two', {}, { rateLimit })],
  output: '{{ steps.two.output }}',
}

for (const at of [
  'before flush step.failed',
  'during flush step.failed',
  'after flush step.failed',
  'during flush execution.parked',
  'before perform two',
  'after perform two',
] as const) {
  t.test(`killed ${at}`, { buffered: true }, async (t) => {
    const scene = await prepare(t, definition)
    await dies(t, scene, { DIE_AT: at, UNDRIVEN: 'yes' })
    const [before] = (await scene.sql('SELECT tat FROM rate_limits')) as [{ tat: string }]
    await deadAreSwept(scene)
    const { execution, survivor, history } = await endsElsewhere(t, scene)
    t.match(execution, { status: 'completed', output: 'two' })
    t.match(await survivor.getSteps(scene.executionId), [{ attempt: 1 }, { attempt: 1 }])
    const heard = scene.ledger.entries.map(({ path }) => path)
    t.same(heard, at === 'after perform two' ? ['one', 'two', 'two'] : ['one', 'two'])
    const failures = history.filter(({ type }) => type === 'step.failed')
    t.ok(failures.every(({ data }) => (data as { deferred?: true }).deferred === true))
    const [after] = (await scene.sql('SELECT tat FROM rate_limits')) as [{ tat: string }]
    t.ok(
      Number(after.tat) >= Number(before.tat) + periodMs * 1_000,
      'what was called after the kill was granted after it',
    )
  })
}
