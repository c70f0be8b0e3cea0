import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { applyPatch } from 'rfc6902'
import t from 'tap'
import { jsonPatch } from '../../src/routes/json-patch.ts'

const applied = (from: unknown, to: unknown): unknown => {
  const document = structuredClone({ root: from })
  const patch = jsonPatch({ root: from }, { root: to })
  const errors = applyPatch(document, structuredClone(patch)).filter((error) => error !== null)
  return errors.length > 0 ? errors : document.root
}

t.test('the patch turns any document into any other', async (_t) => {
  const item = fc.oneof(
    fc.integer({ max: 3, min: 0 }),
    fc.record({ id: fc.integer({ max: 3, min: 0 }), config: fc.array(fc.boolean()) }, { noNullPrototype: true }),
  )
  const document = fc.array(item, { maxLength: 40 })
  fc.assert(
    fc.property(document, document, (from, to) => isDeepStrictEqual(applied(from, to), to)),
    { numRuns: 200 },
  )
})

t.test('in a long list only what changed is named', async (t) => {
  const steps = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({ id: `s${from + index}` }))
  t.same(jsonPatch(steps(0, 500), [...steps(0, 250), ...steps(251, 500)]), [{ op: 'remove', path: '/250' }])
  t.same(jsonPatch(steps(0, 500), steps(0, 501)), [{ op: 'add', path: '/500', value: { id: 's500' } }])
  const changed = steps(0, 500)
  changed[7] = { id: 'x' }
  t.same(jsonPatch(steps(0, 500), changed), [{ op: 'replace', path: '/7/id', value: 'x' }])
})

t.test('two large definitions that have nothing in common are compared without taking the service down', async (t) => {
  const steps = (name: string) =>
    Array.from({ length: 10_000 }, (_, index) => ({ id: `${name}${index}`, config: { steps: [1, 2, index] } }))
  t.strictSame(applied(steps('a'), steps('b')), steps('b'))
})
