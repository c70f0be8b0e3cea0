import t from 'tap'
import { v7 } from 'uuid'
import type { NewWorkflow } from '../../src/repository/workflows.ts'
import { createTestStore } from '../harness/rows.ts'

/** What the compiler let pass is nothing to the repository: any JSON serves as a definition. */
const definitionOf = (name: string, more: object = {}) => ({ name, steps: [], ...more }) as never

const newWorkflow = (name: string, given: Partial<NewWorkflow> = {}): NewWorkflow => ({
  id: v7(),
  namespace: 'default',
  name,
  description: 'what it does',
  tags: ['a', 'b "c"'],
  definition: definitionOf(name),
  at: 1_700_000_000_000,
  ...given,
})

const newVersion = (name: string, at: number, more: object = {}) => ({
  name,
  description: null,
  tags: [],
  definition: definitionOf(name, more),
  at,
})

t.test('a workflow begins with version 1 and is found as it was given', async (t) => {
  const { store } = await createTestStore(t)
  const given = newWorkflow('one', { definition: definitionOf('one', { b: 1, a: '\u0000' }) })
  const { at, ...rest } = given
  const expected = { ...rest, version: 1, status: 'active', createdAt: at, updatedAt: at } as const
  t.same(await store.insertWorkflow(given), expected)
  t.same(await store.findWorkflow(given.id), expected)
  t.same(await store.findVersion(given.id, 1), {
    workflowId: given.id,
    version: 1,
    status: 'active',
    definition: given.definition,
    createdAt: at,
  })
  t.equal(await store.findWorkflow(v7()), null)
  t.equal(await store.findVersion(given.id, 2), null)
})

t.test('a name is taken once in a namespace, until its workflow is archived', async (t) => {
  const { store } = await createTestStore(t)
  const first = await store.insertWorkflow(newWorkflow('one'))
  const taken = { code: 'WORKFLOW_NAME_TAKEN', message: new RegExp(first.id) }
  await t.rejects(store.insertWorkflow(newWorkflow('one')), taken)
  await store.insertWorkflow(newWorkflow('one', { namespace: 'other' }))
  const two = await store.insertWorkflow(newWorkflow('two'))
  await t.rejects(store.insertVersion(two.id, newVersion('one', 2)), taken)
  t.equal((await store.findWorkflow(two.id))!.version, 1, 'and no version was added')
  t.match(await store.archiveWorkflow(first.id, 5), { status: 'archived', updatedAt: 5 })
  t.match(await store.archiveWorkflow(first.id, 6), { status: 'archived', updatedAt: 5 })
  t.equal((await store.insertVersion(two.id, newVersion('one', 2))).name, 'one')
})

t.test('an archived workflow takes no versions, and one that does not exist nothing', async (t) => {
  const { store } = await createTestStore(t)
  const { id } = await store.insertWorkflow(newWorkflow('one'))
  await store.archiveWorkflow(id, 2)
  await t.rejects(store.insertVersion(id, newVersion('one', 3)), { code: 'WORKFLOW_ARCHIVED' })
  await t.rejects(store.activateVersion(id, 1, 3), { code: 'WORKFLOW_ARCHIVED' })
  await t.rejects(store.insertVersion(v7(), newVersion('one', 3)), { code: 'WORKFLOW_NOT_FOUND' })
  await t.rejects(store.archiveWorkflow(v7(), 3), { code: 'WORKFLOW_NOT_FOUND' })
  await t.rejects(store.deprecateVersion(v7(), 1, 3), { code: 'WORKFLOW_NOT_FOUND' })
})

t.test('every version is counted once, also when they come at the same time', async (t) => {
  const { store } = await createTestStore(t)
  const { id } = await store.insertWorkflow(newWorkflow('one'))
  await Promise.all(Array.from({ length: 5 }, (_, index) => store.insertVersion(id, newVersion('one', 10 + index))))
  t.equal((await store.findWorkflow(id))!.version, 6)
  const first = await store.listVersions(id, 4)
  const second = await store.listVersions(id, 4, first.nextCursor!)
  t.same(
    [...first.items, ...second.items].map((version) => version.version),
    [6, 5, 4, 3, 2, 1],
  )
  t.equal(second.nextCursor, null)
})

t.test('a version is added only to the active one that the caller knows', async (t) => {
  const { store } = await createTestStore(t)
  const { id } = await store.insertWorkflow(newWorkflow('one'))
  await store.insertVersion(id, newVersion('one', 2), { ifVersion: 1 })
  await t.rejects(store.insertVersion(id, newVersion('one', 3), { ifVersion: 1 }), { code: 'VERSION_CONFLICT' })
  await store.activateVersion(id, 1, 4)
  t.equal((await store.insertVersion(id, newVersion('one', 5), { ifVersion: 1 })).version, 3)
})

t.test('activation brings back definition, name and tags of a version, and lifts its deprecation', async (t) => {
  const { store } = await createTestStore(t)
  const definition = definitionOf('old', { description: 'was', tags: ['t'] })
  const { id } = await store.insertWorkflow(newWorkflow('old', { description: 'was', tags: ['t'], definition }))
  await store.insertVersion(id, newVersion('new', 2))
  t.match(await store.deprecateVersion(id, 1, 3), { version: 1, status: 'deprecated' })
  t.match(await store.findVersion(id, 2), { status: 'active' })
  await t.rejects(store.deprecateVersion(id, 2, 3), { code: 'VERSION_ACTIVE' })
  await t.rejects(store.deprecateVersion(id, 9, 3), { code: 'VERSION_NOT_FOUND' })
  await t.rejects(store.activateVersion(id, 9, 3), { code: 'VERSION_NOT_FOUND' })
  const active = await store.activateVersion(id, 1, 4)
  t.same(active, { ...active, name: 'old', description: 'was', tags: ['t'], version: 1, definition, updatedAt: 4 })
  t.same(
    (await store.listVersions(id, 10)).items.map(({ version, status }) => [version, status]),
    [
      [2, 'inactive'],
      [1, 'active'],
    ],
  )
})

t.test('the list filters and pages, newest first', async (t) => {
  const { store } = await createTestStore(t)
  const made = []
  for (let index = 0; index < 7; index += 1) {
    made.push(
      await store.insertWorkflow(
        newWorkflow(`w${index}`, { at: 100 + Math.floor(index / 3), tags: index % 2 ? ['odd'] : [] }),
      ),
    )
  }
  const expected = made.toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1)).map(({ id }) => id)
  const first = await store.listWorkflows({}, 3)
  const second = await store.listWorkflows({}, 3, first.nextCursor!)
  const third = await store.listWorkflows({}, 3, second.nextCursor!)
  t.same(
    [...first.items, ...second.items, ...third.items].map(({ id }) => id),
    expected,
  )
  t.equal(third.nextCursor, null)
  t.same((await store.listWorkflows({ name: 'w3' }, 10)).items, [made[3]])
  t.equal((await store.listWorkflows({ tag: 'odd' }, 10)).items.length, 3)
  await store.archiveWorkflow(made[0]!.id, 200)
  t.equal((await store.listWorkflows({ status: 'archived' }, 10)).items.length, 1)
  t.equal((await store.listWorkflows({ workflowId: made[1]!.id, status: 'active' }, 10)).items.length, 1)
  t.equal((await store.listWorkflows({ namespace: 'other' }, 10)).items.length, 0)
})
