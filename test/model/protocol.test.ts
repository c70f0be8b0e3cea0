import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { bounds, everyDay, nameOf, needed } from './bounds.ts'
import { explore } from './explorer.ts'
import { protocol } from './protocol.ts'

for (const budget of everyDay) {
  t.test(`every promise holds in every interleaving with ${nameOf(budget)}`, async (t) => {
    const { states, transitions, depth, counterexample } = explore(protocol(budget))
    t.equal(counterexample?.join('\n') ?? null, null)
    t.comment(`${states} states, ${transitions} transitions, depth ${depth}`)
  })
}

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
