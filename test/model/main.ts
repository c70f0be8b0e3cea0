import { bounds, deep, everyDay, nameOf, neededDeep } from './bounds.ts'
import { explore } from './explorer.ts'
import { protocol } from './protocol.ts'

/**
 * `npm run model`: the protocol within all bounds. `npm run model -- '{"crash":1,"lost":1}' '{"noFence":true}'`: within
 * these, weakened so; prints the counterexample.
 */
const [, , budget, weakenings = '{}'] = process.argv
const all = budget === undefined ? [...everyDay, ...deep] : [bounds(JSON.parse(budget))]
for (const each of all) {
  const { states, transitions, depth, counterexample } = explore(protocol(each, JSON.parse(weakenings)))
  process.stdout.write(`${nameOf(each)}: ${states} states, ${transitions} transitions, depth ${depth}\n`)
  if (counterexample === null) continue
  process.stdout.write(`${counterexample.join('\n')}\n`)
  process.exitCode = 1
  break
}
for (const [weakening, within, broken] of budget === undefined ? neededDeep : []) {
  const { states, counterexample } = explore(protocol(bounds(within), { [weakening]: true }))
  const isCaught = broken.test(counterexample?.at(-1) ?? '')
  process.stdout.write(`${weakening}: ${isCaught ? 'caught' : 'NOT CAUGHT'} after ${states} states\n`)
  if (!isCaught) process.exitCode = 1
}
