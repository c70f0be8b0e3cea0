import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { bounds, everyDay, nameOf } from './bounds.ts'
import { explore } from './explorer.ts'
import { protocol } from './protocol.ts'
import type { Budget } from './state.ts'
import type { Weakenings } from './weakenings.ts'

for (const budget of everyDay) {
  t.test(`every promise holds in every interleaving with ${nameOf(budget)}`, async (t) => {
    const { states, transitions, depth, counterexample } = explore(protocol(budget))
    t.equal(counterexample?.join('\n') ?? null, null)
    t.comment(`${states} states, ${transitions} transitions, depth ${depth}`)
  })
}

/** What each part of the protocol is for: without it, within these bounds, this happens. */
const needed: [keyof Weakenings, Partial<Budget>, RegExp][] = [
  ['noFence', { stall: 1 }, /declared dead, and commits/],
  ['sweepInTheMiddle', { stall: 1 }, /declared dead, and commits/],
  ['revive', { stall: 1 }, /node \d+ (performs|commits).*the owner is/],
  ['claimUnlocked', { stall: 1 }, /declared dead, and is given an execution/],
  ['noProof', { failover: 1 }, /seq has a hole/],
  ['claimUnproved', { failover: 1, release: 1 }, /commits, but the owner is/],
  ['decideByReading', { lost: 1 }, /a completed step is performed again/],
  ['resendChanges', { lost: 1, release: 1 }, /the owner is 0/],
  ['performBeforeCommit', { crash: 1 }, /its mark is not durable|the owner is/],
  ['performPastLease', { stall: 1 }, /performs.*the owner is/],
  ['leaseFromAnswer', { stall: 1 }, /performs.*the owner is/],
  ['performMarked', { crash: 1 }, /B is performed twice/],
  ['inboxApart', { signal: 1, crash: 1 }, /the signal is consumed/],
  ['claimReadOnce', { lost: 1 }, /nothing that is no fault leads to the end/],
  ['loadWhileLeaving', { release: 1 }, /performs.*the owner is/],
]

for (const [weakening, budget, broken] of needed) {
  t.test(`${weakening}: the model shows what breaks`, async (t) => {
    const { states, counterexample } = explore(protocol(bounds(budget), { [weakening]: true }))
    t.match(counterexample?.at(-1), broken)
    t.comment(`after ${states} states:\n${counterexample?.join('\n')}`)
  })
}

t.test('the code that the model says it stands for is there', async (t) => {
  const root = path.join(import.meta.dirname, '../..')
  const files = readdirSync(import.meta.dirname).filter((name) => !name.endsWith('.test.ts'))
  const named = files.flatMap((name) => [
    ...readFileSync(path.join(import.meta.dirname, name), 'utf8').matchAll(/(src\/[\w/-]+\.ts)(?:, (#?\w+))?/g),
  ])
  t.ok(named.length > 20)
  for (const [, file, identifier] of named) {
    if (!existsSync(path.join(root, file!))) t.fail(`there is no ${file}`)
    else if (identifier !== undefined && /^#|[A-Z]/.test(identifier)) {
      t.ok(readFileSync(path.join(root, file!), 'utf8').includes(identifier), `${identifier} in ${file}`)
    }
  }
})
