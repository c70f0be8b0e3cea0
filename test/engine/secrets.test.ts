import t from 'tap'
import { credentialsIn, Secrets } from '../../src/engine/secrets.ts'

const key = 'p@ss/wörd "1"\\+&'
const secrets = new Secrets({ KEY: key, PIN: '123' })

t.test('a secret is found by its name only', async (t) => {
  t.equal(secrets.get('KEY'), key)
  t.equal(secrets.get('key'), undefined)
  t.equal(secrets.get('constructor'), undefined)
  t.same(secrets.names(), ['KEY', 'PIN'])
})

t.test('a secret is cut out in every form in which it may stand', async (t) => {
  const forms = {
    plain: key,
    'URL-encoded': encodeURIComponent(key),
    'URL-encoded, lower case': encodeURIComponent(key).toLowerCase(),
    'as a form field': new URLSearchParams({ k: key }).toString().slice(2),
    'as a URL writes it': encodeURI(key),
    'JSON-escaped': JSON.stringify(key).slice(1, -1),
    'JSON in JSON': JSON.stringify(JSON.stringify(key)).slice(3, -3),
    base64: Buffer.from(key).toString('base64'),
    base64url: Buffer.from(key).toString('base64url'),
  }
  for (const [form, text] of Object.entries(forms)) {
    t.equal(secrets.redactText(`a ${text} b`).replace(/=+ b/, ' b'), 'a [redacted] b', form)
  }
})

t.test('a password within a Basic header is cut out at every alignment', async (t) => {
  for (const user of ['', 'u', 'us', 'use', 'user']) {
    const whole = Buffer.from(`${user}:correct horse battery:tail`).toString('base64')
    const clean = new Secrets({ P: 'correct horse battery' }).redactText(whole)
    t.match(clean, /\[redacted\]/, `after "${user}:"`)
    t.notMatch(Buffer.from(clean.replace('[redacted]', ''), 'base64').toString('latin1'), /correct|horse|batter/)
  }
})

t.test('strings and keys at any depth are cleaned; what holds no secret is the same object', async (t) => {
  const clean = { a: [1, null, { b: 'text' }], c: true }
  t.equal(secrets.redact(clean), clean)
  const result = secrets.redact({ kept: clean, list: ['x', key], [`k-${key}`]: { deep: `${key}${key}` } })
  t.same(result, { kept: clean, list: ['x', '[redacted]'], 'k-[redacted]': { deep: '[redacted][redacted]' } })
  t.equal(result.kept, clean)
})

t.test('two keys that differ in a secret only stay two keys', async (t) => {
  const two = new Secrets({ A: 'aaaa', B: 'bbbb' })
  t.same(two.redact({ aaaa: 1, bbbb: 2, '[redacted] 2': 3 }), { '[redacted]': 1, '[redacted] 3': 2, '[redacted] 2': 3 })
})

t.test('a key named __proto__ stays data', async (t) => {
  const result = secrets.redact(JSON.parse(JSON.stringify({ s: key }).replace('{', '{"__proto__":{"x":1},')))
  t.same(Object.keys(result), ['__proto__', 's'])
  t.equal(Object.getPrototypeOf(result), Object.prototype)
})

t.test('of two secrets, one of which begins with the other, nothing of the longer one is left', async (t) => {
  t.equal(
    new Secrets({ A: 'hunter', B: 'hunter-second' }).redactText('x hunter-second y hunter z'),
    'x [redacted] y [redacted] z',
  )
})

t.test('values shorter than four characters and numbers are left alone', async (t) => {
  t.same(new Secrets({ A: '123', B: '5000' }).redact({ a: '123', b: 5000 }), { a: '123', b: 5000 })
})

t.test('without secrets everything is returned as it is', async (t) => {
  const value = { a: ['b'] }
  t.equal(new Secrets().redact(value), value)
  t.equal(new Secrets().redactText('text'), 'text')
})

t.test('values without a name are hidden too and cannot be asked for', async (t) => {
  const hiding = new Secrets({}, ['sk-live-1'])
  t.equal(hiding.redactText('key sk-live-1'), 'key [redacted]')
  t.same(hiding.names(), [])
})

t.test('credentials are found in agents, data sources and database URLs', async (t) => {
  const found = credentialsIn({
    agents: { a: { apiKey: 'sk-1', headers: { 'api-key': 'azure' } }, b: {} },
    dataSources: {
      main: { url: 'postgres://u:p%40ss@h/d' },
      plain: { url: 'postgres://h/d' },
      odd: { url: 'not a url' },
    },
    databaseUrls: ['postgres://h/d?password=param', null],
  })
  t.same(new Set(found), new Set(['sk-1', 'azure', 'p%40ss', 'p@ss', 'param']))
})
