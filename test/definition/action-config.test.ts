import t from 'tap'
import type { JsonObject } from '../../src/definition/json.ts'
import { faultsOf, workflow } from './definitions.ts'

const step = (config: JsonObject) => workflow([{ id: 'a', type: 'action', config }])

/** Configs that fit, as far as can be told before their templates are filled in. */
const good: readonly JsonObject[] = [
  { type: 'echo' },
  { type: 'echo', delayMs: 5 },
  { type: 'echo', delayMs: '{{ input.delay }}' },
  { type: 'echo', delayMs: '{{ input.a }}{{ input.b }}' },
  { type: 'echo', mode: '{{ input.mode }}' },
  { type: 'echo', fail: '{{ input.fail }}' },
  { type: 'echo', fail: { type: '{{ input.type }}', retryable: '{{ input.retryable }}' } },
  { type: 'echo', fail: 'a message' },
  { type: 'http_request', url: 'https://{{ input.host }}/{{ input.path }}/a/very/long/path/indeed/of/more/than/fifty' },
  { type: 'http_request', url: 'http://a', expectedStatus: ['{{ input.status }}', 404, '2xx'] },
  { type: 'http_request', url: 'http://a', expectedStatus: '{{ input.statuses }}' },
  { type: 'http_request', url: 'http://a', headers: { authorization: 'Bearer {{ secrets.KEY }}' } },
  { type: 'database_query', query: 'SELECT $1', parameters: ['{{ input.a }}'] },
  { type: 'database_query', query: 'SELECT $1', parameters: '{{ input.parameters }}' },
]

t.test('a template may stand for a value of any type', async (t) => {
  for (const config of good) t.strictSame(faultsOf(step(config)), [], JSON.stringify(config))
})

const bad: readonly (readonly [config: JsonObject, pointer: string, message: RegExp])[] = [
  [
    { type: 'ecko' },
    '/type',
    /There is no action "ecko"; there are echo, http_request, database_query\. Did you mean "echo"/,
  ],
  [{ type: 'echo', delay: 5 }, '/delay', /is not known here/],
  [{ type: 'echo', valeu: 5 }, '/valeu', /Did you mean "value"/],
  [{ type: 'echo', delayMs: '5' }, '/delayMs', /must be an integer, not a string/],
  [{ type: 'echo', delayMs: '\\{{ 5 }}' }, '/delayMs', /must be an integer/],
  [{ type: 'echo', delayMs: -1 }, '/delayMs', />= 0/],
  [{ type: 'echo', mode: 'fats' }, '/mode', /must be one of "fast", "slow"\. Did you mean "fast"/],
  [{ type: 'echo', fail: 5 }, '/fail', /has none of the forms/],
  [{ type: 'echo', fail: { type: 5 } }, '/fail/type', /must be a string/],
  [{ type: 'echo', fail: { type: '{{ input.type }}', retryable: 1 } }, '/fail/retryable', /must be a boolean/],
  [{ type: 'echo', fail: { retryable: '{{ input.r }}' } }, '/fail/type', /is missing/],
  [{ type: 'http_request' }, '/url', /is missing/],
  [{ type: 'http_request', url: 'not a url' }, '/url', /format "uri"/],
  [{ type: 'http_request', url: 'http://a', headers: { a: 1 } }, '/headers/a', /must be a string/],
  [{ type: 'http_request', url: 'http://a/{{ secrets.KEY }}' }, '/url', /Secrets may be used only/],
  [{ type: 'http_request', url: 'http://a', expectedStatus: ['9xx'] }, '/expectedStatus/0', /must match|forms/],
  [{ type: 'database_query', query: "SELECT '{{ input.a }}'" }, '/query', /taken as it is and may hold no {{ }}/],
  [{ type: 'database_query', query: 'x', parameters: ['{{ input. }}'] }, '/parameters/0', /Unexpected token/],
  [{ type: 'echo', value: { deep: ['{{ steps.b.output }}'] } }, '/value/deep/0', /There is no step "b"/],
]

t.test("a config that does not fit its action's schema is refused", async (t) => {
  for (const [config, pointer, message] of bad) {
    const faults = faultsOf(step(config))
    t.strictSame(
      faults.map((fault) => fault.pointer),
      [`/steps/0/config${pointer}`],
      JSON.stringify(config),
    )
    t.match(faults[0]?.message, message, JSON.stringify(config))
  }
})

t.test('a bare name that neither variables nor a closed inputSchema have is refused', async (t) => {
  const closed = {
    inputSchema: { type: 'object', properties: { a: {} }, additionalProperties: false },
    variables: { b: 1 },
  }
  const reads = (name: string, more: JsonObject) =>
    faultsOf(workflow([{ id: 'x', type: 'action', config: { type: 'echo', value: `{{ ${name} }}` } }], more))
  t.strictSame(reads('a', closed), [])
  t.strictSame(reads('b', closed), [])
  t.match(reads('c', closed), [{ pointer: '/steps/0/config/value', message: /"c" is not known here/ }])
  t.strictSame(
    reads('c', { ...closed, inputSchema: { type: 'object', properties: { a: {} } } }),
    [],
    'an open one may have it',
  )
  t.strictSame(reads('c', {}), [])
})
