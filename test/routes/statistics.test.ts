import t from 'tap'
import { echo, failing, gateStep, startApi, unknownId } from './api.ts'

const nothing = {
  totalExecutions: 0,
  completedExecutions: 0,
  failedExecutions: 0,
  cancelledExecutions: 0,
  runningExecutions: 0,
  successRate: null,
  averageExecutionTimeMs: null,
  p50Ms: null,
  p95Ms: null,
  p99Ms: null,
  steps: [],
}

t.test('without executions there are no averages', async (t) => {
  const api = await startApi(t)
  t.same((await api.call('GET', '/api/workflows/statistics')).body, nothing)
})

t.test('totals, success rate and durations, for a workflow and overall', async (t) => {
  const api = await startApi(t)
  const good = await api.workflow([echo('a'), echo('b')])
  const bad = await api.workflow([echo('a'), failing('b')])
  const held = await api.workflow([gateStep('g')])
  await api.run(good.id)
  await api.run(good.id)
  await api.run(bad.id)
  await api.call('POST', '/api/workflows/executions', { body: { workflowId: held.id } })
  await api.gate('g').reached

  const all = (await api.call('GET', '/api/workflows/statistics')).body
  t.match(all, {
    totalExecutions: 4,
    completedExecutions: 2,
    failedExecutions: 1,
    cancelledExecutions: 0,
    runningExecutions: 1,
  })
  t.ok(Math.abs(all.successRate - 2 / 3) < 1e-9, `success rate ${all.successRate}`)
  t.ok(all.averageExecutionTimeMs >= 0 && all.p50Ms <= all.p95Ms && all.p95Ms <= all.p99Ms)

  const one = (await api.call('GET', `/api/workflows/${bad.id}/statistics`)).body
  t.match(one, { totalExecutions: 1, failedExecutions: 1, successRate: 0 })
  const step = (id: string) => one.steps.find((item: { id: string }) => item.id === id)
  t.match(step('a'), { executions: 1, failures: 0, retries: 0 })
  t.match(step('b'), { failures: 1 })
})

t.test('statistics of an unknown workflow are 404', async (t) => {
  const api = await startApi(t)
  t.match(await api.call('GET', `/api/workflows/${unknownId}/statistics`), {
    status: 404,
    body: { code: 'WORKFLOW_NOT_FOUND' },
  })
  t.match(await api.call('GET', '/api/workflows/nonsense/statistics'), { status: 404 })
  t.match(await api.call('GET', '/api/workflows/statistics?workflowId=1'), { status: 422 })
})
