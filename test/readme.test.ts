/** README.md is what people try first: what it says must be so. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { loadConfig } from '../src/config.ts'
import { builtInActions } from '../src/engine/actions/registry.ts'

const root = path.join(import.meta.dirname, '..')
const readme = readFileSync(path.join(root, 'README.md'), 'utf8')
const rows = [...readme.matchAll(/^\| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\| /gm)].map(([, name, preset]) => ({
  name: name!,
  preset,
}))

t.test('the table of settings has every setting of config.ts and no other', async (t) => {
  const environment = /const Environment = Type\.Object\(\{([\s\S]*?)\n\}\)/.exec(
    readFileSync(path.join(root, 'src/config.ts'), 'utf8'),
  )![1]!
  const settings = [...environment.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, name]) => name!)
  t.ok(settings.length > 15)
  t.strictSame(rows.map(({ name }) => name).sort(), settings.sort())
})

t.test('the defaults in the table are those of config.ts', async (t) => {
  const given = Object.fromEntries(rows.flatMap(({ name, preset }) => (preset === undefined ? [] : [[name, preset]])))
  t.ok(Object.keys(given).length > 12)
  t.strictSame(loadConfig(given), loadConfig({}))
})

t.test('its links lead to files', async (t) => {
  const targets = [...readme.matchAll(/\]\(((?!https?:)[^)#]+)/g)].map(([, target]) => target!)
  t.ok(targets.length > 5)
  for (const target of targets) t.ok(existsSync(path.join(root, target)), target)
})

t.test('the scripts that it names exist', async (t) => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: object }
  const named = [...readme.matchAll(/npm (?:run )?([a-z:]+)/g)]
    .map(([, name]) => name!)
    .filter((name) => !['ci', 'install'].includes(name))
  for (const name of new Set([...named, 'start', 'demo'])) t.ok(name in scripts, name)
})

t.test('it names every built-in action', async (t) => {
  const { actions, close } = builtInActions({})
  await close()
  for (const { type } of actions) t.match(readme, `\`${type}\``)
})
