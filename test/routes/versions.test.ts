import { applyPatch } from 'rfc6902'
import t from 'tap'
import { echo, startApi, unknownId } from './api.ts'

const api = await startApi(t)

/** A workflow with three versions, the third active. */
async function threeVersions(): Promise<{ id: string; url: string }> {
  const { id, name } = await api.workflow([echo('a', 1)])
  await api.call('PUT', `/api/workflows/${id}`, { body: { name, steps: [echo('a', 2), echo('b')] } })
  await api.call('PUT', `/api/workflows/${id}`, { body: { name, tags: ['third'], steps: [echo('b')] } })
  return { id, url: `/api/workflows/${id}` }
}

t.test('versions are listed newest first, with their status, and paged', async (t) => {
  const { id, url } = await threeVersions()
  const { body } = await api.call('GET', `${url}/versions`)
  t.match(body.items, [
    { workflowId: id, version: 3, status: 'active' },
    { version: 2, status: 'inactive' },
    { version: 1, status: 'inactive' },
  ])
  const first = await api.call('GET', `${url}/versions?limit=2`)
  const second = await api.call('GET', `${url}/versions?limit=2&cursor=${first.body.nextCursor}`)
  t.match(second.body, { items: [{ version: 1 }], nextCursor: null })
  t.match(await api.call('GET', `${url}/versions?cursor=x`), { status: 422, body: { code: 'CURSOR_INVALID' } })
  t.match(await api.call('GET', `/api/workflows/${unknownId}/versions`), {
    status: 404,
    body: { code: 'WORKFLOW_NOT_FOUND' },
  })
})

t.test('one version shows the definition that it was made with', async (t) => {
  const { url } = await threeVersions()
  const { body } = await api.call('GET', `${url}/versions/1`)
  t.equal(body.definition.steps[0].config.value, 1)
})

t.test('what names no version is 404', async (t) => {
  const { url } = await threeVersions()
  for (const version of ['4', '0', '-1', 'x', '1.5', '99999999999']) {
    const missing = { status: 404, body: { code: 'VERSION_NOT_FOUND' } }
    t.match(await api.call('GET', `${url}/versions/${version}`), missing, version)
    t.match(await api.call('POST', `${url}/versions/${version}/activate`), missing, version)
    t.match(await api.call('POST', `${url}/versions/${version}/deprecate`), missing, version)
  }
  const noWorkflow = { status: 404, body: { code: 'WORKFLOW_NOT_FOUND' } }
  t.match(await api.call('GET', `/api/workflows/${unknownId}/versions/1`), noWorkflow)
  t.match(await api.call('POST', `/api/workflows/${unknownId}/versions/1/activate`), noWorkflow)
  t.match(await api.call('POST', `/api/workflows/nonsense/versions/1/deprecate`), noWorkflow)
})

t.test('activate makes new executions run that version', async (t) => {
  const { id, url } = await threeVersions()
  const { status, headers, body } = await api.call('POST', `${url}/versions/1/activate`)
  t.equal(status, 200)
  t.equal(headers.etag, '"1"')
  t.equal(body.version, 1)
  t.equal(body.definition.steps[0].config.value, 1)
  t.match(await api.run(id), { workflowVersion: 1, output: 1 })
  t.match(
    await api.call('POST', `${url}/versions/1/activate`),
    { status: 200, body: { version: 1 } },
    'again changes nothing',
  )
})

t.test('a deprecated version takes no starts; the active one cannot be deprecated', async (t) => {
  const { id, url } = await threeVersions()
  t.match(await api.call('POST', `${url}/versions/3/deprecate`), { status: 409, body: { code: 'VERSION_ACTIVE' } })
  t.match(await api.call('POST', `${url}/versions/2/deprecate`), {
    status: 200,
    body: { version: 2, status: 'deprecated' },
  })
  t.match(await api.call('POST', `${url}/versions/2/deprecate`), { status: 200 }, 'again changes nothing')
  t.match(await api.call('POST', '/api/workflows/executions', { body: { workflowId: id, version: 2 } }), {
    status: 409,
    body: { code: 'VERSION_DEPRECATED' },
  })
  t.match(await api.call('POST', '/api/workflows/executions', { body: { workflowId: id, version: 1 } }), {
    status: 201,
  })
  t.match(
    await api.call('POST', `${url}/versions/2/activate`),
    { status: 200, body: { version: 2 } },
    'activating brings it back',
  )
})

t.test('diff is the JSON Patch from one version to the other', async (t) => {
  const { url } = await threeVersions()
  const { status, headers, body: patch } = await api.call('GET', `${url}/diff?from=1&to=3`)
  t.equal(status, 200)
  t.match(headers['content-type'], /^application\/json-patch\+json/)
  const { definition } = (await api.call('GET', `${url}/versions/1`)).body
  t.same(applyPatch(definition, patch).filter(Boolean), [])
  t.same(definition, (await api.call('GET', `${url}/versions/3`)).body.definition)
  t.same((await api.call('GET', `${url}/diff?from=2&to=2`)).body, [])
})

t.test('diff refuses unknown versions and incomplete questions', async (t) => {
  const { url } = await threeVersions()
  t.match(await api.call('GET', `${url}/diff?from=1&to=9`), { status: 404, body: { code: 'VERSION_NOT_FOUND' } })
  t.match(await api.call('GET', `/api/workflows/${unknownId}/diff?from=1&to=2`), {
    status: 404,
    body: { code: 'WORKFLOW_NOT_FOUND' },
  })
  t.match(await api.call('GET', `${url}/diff?from=1`), { status: 422, body: { errors: [{ pointer: '/to' }] } })
  t.match(await api.call('GET', `${url}/diff?from=a&to=1`), { status: 422, body: { errors: [{ pointer: '/from' }] } })
})
