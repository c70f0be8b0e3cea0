import { readFileSync } from 'node:fs'
import t from 'tap'
import { stepErrors } from '../src/engine/actions/step-errors.ts'
import { CairnError, errors } from '../src/errors.ts'

const [steps = '', api = ''] = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8').split(
  '## API errors',
)
const rowsOf = (text: string) => text.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \|$/gm).map(([, ...cells]) => cells)

t.test('docs/errors.md lists every API error with its status and message, and no other', async (t) => {
  const expected = Object.entries(errors).map(([code, [message, status]]) => [code, String(status), message])
  t.same([...rowsOf(api)], expected)
})

t.test('docs/errors.md lists every type of step error with its meaning and default, and no other', async (t) => {
  const expected = Object.entries(stepErrors).map(([type, [meaning, retryable]]) => [
    type,
    meaning,
    retryable ? 'yes' : 'no',
  ])
  t.same([...rowsOf(steps)], expected)
})

t.test('an error fills its message and carries status, faults and cause', async (t) => {
  const cause = new Error('why')
  const error = new CairnError('VERSION_NOT_FOUND', ['w', 2], { cause, faults: [{ pointer: '/a', message: 'b' }] })
  t.match(error, { code: 'VERSION_NOT_FOUND', status: 404, message: 'Workflow w has no version 2', cause })
  t.same(error.faults, [{ pointer: '/a', message: 'b' }])
})
