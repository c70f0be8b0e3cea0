/** Runs every definition of examples/ in the worlds of stories/: real servers on loopback, real tables. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { startEngine } from '../engine/running-engine.ts'
import { createTestDatabase } from '../harness/database.ts'
import { play, readDefinition, type Story } from './story.ts'
import { bankToken, openLoopback } from './world.ts'

const examples = path.join(import.meta.dirname, '../../examples')
const stories = path.join(import.meta.dirname, 'stories')
const namesIn = (folder: string, extension: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(extension))
    .map((entry) => path.basename(entry.name, extension))
    .sort()

const names = namesIn(examples, '.json')
const { url: databaseUrl } = await createTestDatabase(t)
const loopback = await openLoopback(t)
const agents = ['data-processor', 'document-reader', 'triage']
const engine = await startEngine(
  t,
  {},
  {
    databaseUrl,
    secrets: { BANK_TOKEN: bankToken },
    targets: {
      agents: Object.fromEntries(agents.map((name) => [name, loopback.agent(name)])),
      dataSources: { main: { url: databaseUrl } },
      http: { allowedHosts: [loopback.host] },
    },
  },
)

t.test('every example has its stories, and README.md names it', async (t) => {
  const readme = readFileSync(path.join(examples, 'README.md'), 'utf8')
  const named = [...readme.matchAll(/^\| \[(.+?)\]\(\1\.json\) \|/gm)].map(([, name]) => name!)
  t.strictSame(namesIn(stories, '.ts'), names)
  t.strictSame(named.sort(), names)
})

for (const name of names) {
  t.test(name, async (t) => {
    const definition = readDefinition(readFileSync(path.join(examples, `${name}.json`), 'utf8'), loopback.url)
    const { id: workflowId } = await engine.createWorkflow(definition)
    const { stories } = (await import(`./stories/${name}.ts`)) as { stories: readonly [Story, ...Story[]] }
    const [first] = stories
    t.strictSame(
      [first.input, first.variables, first.ends],
      [undefined, undefined, undefined],
      'first it completes with its own sample input',
    )
    for (const story of stories) {
      await t.test(story.rule, (t) =>
        play(t, { engine, loopback, databaseUrl }, { name, workflowId, definition }, story),
      )
    }
  })
}
