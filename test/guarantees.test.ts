/** docs/guarantees.md says what is promised and where that is tested: what it names must be there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'

const root = path.join(import.meta.dirname, '..')
const page = readFileSync(path.join(root, 'docs/guarantees.md'), 'utf8')
const targets = [...page.matchAll(/\]\(((?!https?:)[^)#]+)/g)].map(([, target]) => path.join('docs', target!))

t.test('every file that it links is there', async (t) => {
  t.ok(targets.length > 20)
  for (const target of targets) t.ok(existsSync(path.join(root, target)), target)
})

t.test('every command that it names is there', async (t) => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { scripts: object }
  const named = [...page.matchAll(/npm (?:run )?([a-z:]+)/g)].map(([, name]) => name!)
  t.ok(named.includes('test') && named.includes('model'))
  for (const name of named) t.ok(name in scripts, name)
})

t.test('every promise has a test', async (t) => {
  const promises = [...page.matchAll(/^(\d+)\. \*\*/gm)].map(([, number]) => Number(number))
  t.same(promises, [1, 2, 3, 4, 5, 6, 7, 8])
  const tests = page.slice(page.indexOf('## How it is tested'), page.indexOf('## What others promise'))
  const proved = [...tests.matchAll(/\| ([\d–, a-z]+) \| \[test\//g)].flatMap(([, list]) => numbersIn(list!))
  for (const promise of promises) t.ok(proved.includes(promise), `promise ${promise}`)
})

t.test('every test of kills, faults, the model, deployments and simulations is on it', async (t) => {
  const folders = ['crash', 'faults', 'model', 'deploy', 'simulation'].filter((folder) =>
    existsSync(path.join(root, 'test', folder)),
  )
  const files = folders.flatMap((folder) =>
    readdirSync(path.join(root, 'test', folder))
      .filter((name) => /\.(test|faults)\.ts$/.test(name))
      .map((name) => `test/${folder}/${name}`),
  )
  t.ok(files.length > folders.length)
  t.same(
    files.filter((file) => !page.includes(`[${file}]`)),
    [],
  )
})

/** `1–4, 6` */
function numbersIn(list: string): number[] {
  return list.split(', ').flatMap((part) => {
    const [from, to = from] = part.split('–').map(Number)
    if (Number.isNaN(from)) return []
    return Array.from({ length: to! - from! + 1 }, (_, index) => from! + index)
  })
}
