/** The rules of ARCHITECTURE.md that a machine can check. There are no exemptions: move the code instead. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { moduleOf, modulesIn, purityFaults } from './source-modules.ts'

const root = path.join(import.meta.dirname, '..')
const modules = modulesIn(path.join(root, 'src'))

/** Folders in the order of the import direction, the innermost last, so that the first that fits is the module's own. */
const floors = [
  'engine/core/',
  'definition/',
  'repository/',
  'engine/',
  'stream/',
  'plugins/',
  'routes/',
  'telemetry/',
] as const
type Floor = (typeof floors)[number]

/** Besides itself, what a floor may import: definition → engine/core → repository → engine → stream → routes. */
const mayImport: Record<Floor, readonly Floor[]> = {
  'definition/': [],
  'engine/core/': ['definition/'],
  'repository/': ['definition/', 'engine/core/'],
  'engine/': ['definition/', 'engine/core/', 'repository/'],
  'stream/': ['definition/', 'engine/core/', 'repository/', 'engine/'],
  'plugins/': ['definition/', 'engine/core/', 'repository/', 'engine/', 'stream/', 'routes/'],
  'routes/': ['definition/', 'engine/core/', 'repository/', 'engine/', 'stream/', 'plugins/'],
  'telemetry/': ['definition/', 'engine/core/', 'repository/', 'engine/'],
}

/** Files beside the floors that everybody but the pure floors may import; they import nothing of ours but each other. */
const leaves = ['errors.ts', 'schema-faults.ts']
/** Where everything comes together, and the settings that only they read. */
const top = /^(main|app|index)\.ts$/
const settings = /^config(-[a-z-]+)?\.ts$/

const floorOf = (file: string): Floor | undefined => floors.find((floor) => file.startsWith(floor))
const isPure = (file: string): boolean => file.startsWith('definition/') || file.startsWith('engine/core/')

t.test('imports go in one direction: definition, core, repository, engine, stream, routes, app, main', async (t) => {
  const faults: string[] = []
  for (const { file, imports } of modules) {
    for (const { target } of imports.filter((item) => item.isLocal)) {
      if (!isAllowed(file, target)) faults.push(`${file} must not import ${target}`)
    }
  }
  t.strictSame(faults, [])
})

function isAllowed(file: string, target: string): boolean {
  if (file === 'main.ts') return true
  if (file === 'app.ts' || file === 'index.ts') return target !== 'main.ts'
  if (settings.test(file)) return settings.test(target) || leaves.includes(target) || floorOf(target) === 'definition/'
  const floor = floorOf(file)
  if (leaves.includes(target)) return !isPure(file)
  if (leaves.includes(file) || floor === undefined) return false
  const targetFloor = floorOf(target)
  return targetFloor !== undefined && (targetFloor === floor || mayImport[floor].includes(targetFloor))
}

t.test('every file in src belongs to a floor, or is one of the few beside them', async (t) => {
  const strays = modules.filter(
    ({ file }) => !floorOf(file) && !leaves.includes(file) && !top.test(file) && !settings.test(file),
  )
  t.strictSame(
    strays.map(({ file }) => file),
    [],
  )
})

t.test('the repository takes types only from the core', async (t) => {
  const faults = modules
    .filter(({ file }) => file.startsWith('repository/'))
    .flatMap(({ file, imports }) =>
      imports.filter(({ target, isType }) => target.startsWith('engine/core/') && !isType).map((item) => [file, item]),
    )
  t.strictSame(faults, [])
})

t.test('definition/ and engine/core/ are pure: no node:*, clock, random, environment or await', async (t) => {
  const faults = modules.filter(({ file }) => isPure(file)).flatMap(purityFaults)
  t.strictSame(faults, [])
})

t.test('the check for purity sees what it is there for', async (t) => {
  const impure = [
    "import fs from 'node:fs'",
    'export const at = Date.now()',
    'export const day = new Date()',
    'export const dice = (n: number = Math.random()) => n',
    'export async function later() {}',
    'export const home = process.env.HOME',
    'setTimeout(() => {}, 1)',
    'export const soon = Promise.resolve(1)',
  ]
  for (const source of impure) t.ok(purityFaults(moduleOf('x.ts', source)).length > 0, source)
  const pure =
    "import type fs from 'node:fs'\nexport const day = (step: { process: number }) => new Date(step.process).getTime()"
  t.strictSame(purityFaults(moduleOf('x.ts', pure)), [])
})

t.test(
  'the engine takes time, turns, ids and dice from its clock alone, so that the simulation can repeat a run',
  async (t) => {
    const ambient = /\b(setTimeout|setImmediate|setInterval|performance\.now|Date\.now|Math\.random|uuidv7)\(/
    const faults = modules.filter(
      ({ file, source }) =>
        file.startsWith('engine/') &&
        !/^engine\/((clock|time-ordered-ids)\.ts|actions\/)/.test(file) &&
        ambient.test(source),
    )
    t.strictSame(
      faults.map(({ file }) => file),
      [],
    )
  },
)

t.test('only the repository knows kysely and pg', async (t) => {
  const faults = modules.filter(
    ({ file, imports }) =>
      !file.startsWith('repository/') && imports.some(({ target }) => /^(kysely|pg)(\/|$)/.test(target)),
  )
  t.strictSame(
    faults.map(({ file }) => file),
    [],
  )
})

t.test('no file in src has more than 300 lines', async (t) => {
  const long = modules.map(({ file, source }) => [file, source.split('\n').length - 1] as const)
  t.strictSame(
    long.filter(([, lines]) => lines > 300),
    [],
  )
})

t.test('files are named in kebab-case after what they hold; there are no buckets', async (t) => {
  const buckets = /(^|[/-])(utils?|helpers?|common|managers?|types?|misc|shared|lib)(\.(test|faults))?(\.ts$|\/)/
  const kebab = /^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.(test|faults))?\.ts$/
  const files = ['src', 'test', 'perf', 'examples', 'openapi'].flatMap((folder) =>
    modulesIn(path.join(root, folder)).map(({ file }) => file),
  )
  // Migrations are ordered by the number that they begin with, `0001_journal.ts`, as Kysely wants them.
  const migrations = readdirSync(path.join(root, 'migrations')).filter((name) => !/^\d{4}_[a-z0-9-]+\.ts$/.test(name))
  t.strictSame(
    files.filter((file) => buckets.test(file) || !kebab.test(file)),
    [],
  )
  t.strictSame(migrations, [])
})

t.test('main.ts imports tracing before everything that tracing instruments', async (t) => {
  // As a bare import, which sorting leaves where it is.
  const first = modules.find(({ file }) => file === 'main.ts')?.imports[0]
  t.equal(first?.target, 'telemetry/tracing.ts')
})

t.test('package-lock.json names no registry, so that it installs from whichever is set', async (t) => {
  const lock = readFileSync(path.join(root, 'package-lock.json'), 'utf8')
  t.notMatch(lock, /"resolved": "https?:/)
  t.notMatch(lock, /"npm:null/)
})
