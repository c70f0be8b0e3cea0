/** examples/run.ts, with which people try the definitions beside it. */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { createTestDatabase } from '../harness/database.ts'
import { run, startService } from './program.ts'

const greeting = {
  name: 'Greeting',
  inputSchema: { type: 'object', required: ['name'], examples: [{ name: 'Ada' }] },
  steps: [
    { id: 'greet', name: 'Greet', type: 'action', config: { type: 'echo', value: 'Hello {{ input.name }}' } },
    { id: 'polite', name: 'Polite?', type: 'condition', config: { condition: "name != 'Nobody'", onFalse: 'fail' } },
  ],
}

t.test(
  'a definition is run with its sample input, or with what is given, and the exit code says how it ended',
  async (t) => {
    const { url: databaseUrl } = await createTestDatabase(t)
    const CAIRN_URL = await startService(t, { DATABASE_URL: databaseUrl })
    const folder = t.testdir({ 'greeting.json': JSON.stringify(greeting), 'input.json': '{ "name": "Grace" }' })
    const file = path.join(folder, 'greeting.json')

    const sample = await run('examples/run.ts', [file], { CAIRN_URL })
    t.equal(sample.code, 0)
    t.match(sample.stdout, /^Greeting, version 1, execution [-0-9a-f]+\n/)
    t.match(sample.stdout, /50 % ✓ Greet .*\n.* 99 % ✓ Polite\? .*\n.* 100 % ● execution completed\n"Hello Ada"\n$/)

    const given = await run('examples/run.ts', [file, path.join(folder, 'input.json')], { CAIRN_URL })
    t.match(given.stdout, /^Greeting, version 1, [\s\S]*"Hello Grace"\n$/, 'the same definition makes no new version')

    const failed = await run('examples/run.ts', [file, '{"name": "Nobody"}'], { CAIRN_URL })
    t.equal(failed.code, 1)
    t.match(failed.stdout, /✗ Polite\?/)
    t.match(failed.stderr, /^failed: /)

    writeFileSync(file, JSON.stringify({ ...greeting, steps: [{ id: 'greet', type: 'nonsense' }] }))
    const refused = await run('examples/run.ts', [file], { CAIRN_URL })
    t.equal(refused.code, 1)
    t.match(refused.stderr, /422[\s\S]+\/steps\/0\/type /, 'with every fault')
  },
)
