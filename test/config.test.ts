// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the references of the configuration file look like that
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { ConfigError, loadConfig } from '../src/config.ts'

const faultsOf = (environment: NodeJS.ProcessEnv): string[] => {
  try {
    loadConfig(environment)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const { pointer, message } of error.faults)
      t.ok(error.message.includes(`${pointer} ${message}`), 'in the message')
    return error.faults.map(({ pointer, message }) => `${pointer} ${message}`)
  }
}

t.test('without any setting there are the defaults, frozen throughout', async (t) => {
  const config = loadConfig({})
  t.same(config, {
    server: { host: '127.0.0.1', port: 3000, shutdownGraceMs: 5_000 },
    log: { level: 'info' },
    database: {
      url: null,
      dataDir: resolve('.cairn'),
      notify: true,
      listenUrl: null,
      poolSize: 10,
      lanes: 1,
      prepare: true,
    },
    engine: {
      maxRunning: 10_000,
      maxHeldBytes: 536_870_912,
      maxAttempts: 1_000,
      circuitBreakers: true,
      leaseMs: 15_000,
      drainMs: 10_000,
      parkAfterMs: 1_000,
      maxPayloadBytes: 1_048_576,
      maxStateBytes: 33_554_432,
      retentionDays: null,
    },
    actions: { agents: {}, dataSources: {}, http: { allowPrivateNetwork: false, allowedHosts: [] } },
    secrets: {},
  })
  t.throws(() => Object.assign(config.engine, { leaseMs: 1 }), TypeError)
  t.throws(() => Object.assign(config.actions.agents, { a: 1 }), TypeError)
})

t.test('settings are taken over, numbers and switches converted; empty ones count as absent', async (t) => {
  const config = loadConfig({
    PORT: '0',
    HOST: '::',
    DATABASE_URL: '',
    CAIRN_NOTIFY: 'off',
    CAIRN_PREPARE: 'off',
    CAIRN_LANES: '2',
    CAIRN_LEASE_MS: '',
    LOG_LEVEL: 'silent',
  })
  t.match(config.server, { host: '::', port: 0 })
  t.match(config.database, { url: null, notify: false, prepare: false, lanes: 2 })
  t.equal(config.engine.leaseMs, 15_000)
  t.equal(config.log.level, 'silent')
})

t.test('every unknown name and bad value is named in one error', async (t) => {
  t.same(
    faultsOf({
      CAIRN_LEASE: '1',
      PORT: '70000',
      CAIRN_LANES: '1.5',
      CAIRN_PREPARE: 'true',
      CAIRN_POOL_SIZE: '-1',
      OTHER: 'x',
    }),
    [
      'CAIRN_LEASE is not a setting of Cairn; the README lists them',
      'PORT must be <= 65535, not "70000"',
      'CAIRN_PREPARE must be one of on, off, not "true"',
      'CAIRN_LANES must be an integer, not "1.5"',
      'CAIRN_POOL_SIZE must be >= 1, not "-1"',
    ],
  )
})

t.test('a number below the least says so, and is not taken for none', async (t) => {
  t.same(faultsOf({ CAIRN_RETENTION_DAYS: '-1', PORT: '-1', CAIRN_DRAIN_MS: '-' }), [
    'PORT must be >= 0, not "-1"',
    'CAIRN_DRAIN_MS must be an integer, not "-"',
    'CAIRN_RETENTION_DAYS must be >= 0.01, not "-1"',
  ])
})

t.test('where to LISTEN is another way to the database of DATABASE_URL', async (t) => {
  const CAIRN_LISTEN_URL = 'postgres://direct/d'
  t.equal(loadConfig({ DATABASE_URL: 'postgres://pooler/d', CAIRN_LISTEN_URL }).database.listenUrl, CAIRN_LISTEN_URL)
  t.same(faultsOf({ CAIRN_LISTEN_URL }), [
    'CAIRN_LISTEN_URL goes with DATABASE_URL: it is another way to the same database',
  ])
  t.same(faultsOf({ DATABASE_URL: 'postgres://d', CAIRN_LISTEN_URL: 'http://u:hunter2@h' }), [
    'CAIRN_LISTEN_URL must match pattern "^postgres(ql)?://"',
  ])
})

t.test('a URL that is refused is not repeated: it may hold a password', async (t) => {
  t.same(faultsOf({ DATABASE_URL: 'mysql://u:hunter2@h/d' }), ['DATABASE_URL must match pattern "^postgres(ql)?://"'])
})

t.test('secrets come from variables and from files, whose last line break is cut', async (t) => {
  const folder = t.testdir({
    'db-password': 'from file\n\n',
    WINDOWS: 'line\r\n',
    '..data': 'bookkeeping',
    nested: { x: 'y' },
  })
  const { secrets } = loadConfig({ CAIRN_SECRETS_DIR: folder, CAIRN_SECRET_API_KEY: 'from variable\n' })
  t.same(secrets, { API_KEY: 'from variable\n', 'db-password': 'from file\n', WINDOWS: 'line' })
})

t.test('secrets that are empty, twice there or without a name are faults that show no value', async (t) => {
  const folder = t.testdir({ API_KEY: 'sk-one', 'bad name': 'sk-two' })
  t.same(
    faultsOf({
      CAIRN_SECRETS_DIR: folder,
      CAIRN_SECRET_API_KEY: 'sk-three',
      CAIRN_SECRET_: 'sk-four',
      CAIRN_SECRET_E: '',
    }),
    [
      'CAIRN_SECRET_ does not end in a name: letters, digits, _ . and -',
      'CAIRN_SECRET_E is empty',
      `${join(folder, 'API_KEY')} gives the secret API_KEY a second time`,
      `${join(folder, 'bad name')} does not end in a name: letters, digits, _ . and -`,
    ],
  )
  t.match(faultsOf({ CAIRN_SECRETS_DIR: join(folder, 'missing') }), [/^CAIRN_SECRETS_DIR cannot be read: ENOENT/])
})

const fileOf = (t: Test, content: unknown) => {
  const folder = t.testdir()
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'cairn.json')
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

t.test('the file is read with its references resolved and its defaults filled in', async (t) => {
  const path = fileOf(t, {
    agents: { writer: { baseUrl: 'https://api.example.com/v1', model: '${MODEL}', apiKey: '${secrets.AI_KEY}' } },
    dataSources: { main: { url: 'postgres://u:${PW}@h/d' } },
    http: { allowedHosts: ['api.internal:8080', '[::1]:80'] },
  })
  const { actions } = loadConfig({
    CAIRN_CONFIG: path,
    CAIRN_SECRET_AI_KEY: 'sk-"quoted"',
    MODEL: 'small',
    PW: 'x${MODEL}',
  })
  t.same(actions, {
    agents: {
      writer: { baseUrl: 'https://api.example.com/v1', model: 'small', apiKey: 'sk-"quoted"', structuredOutputs: true },
    },
    dataSources: { main: { url: 'postgres://u:x${MODEL}@h/d', readOnly: false, poolSize: 5 } },
    http: { allowPrivateNetwork: false, allowedHosts: ['api.internal:8080', '[::1]:80'] },
  })
})

t.test('$${ stands for a literal ${', async (t) => {
  const path = fileOf(t, { agents: { a: { baseUrl: 'http://h/v1', model: 'm', systemPrompt: 'say $${NAME}' } } })
  t.equal(loadConfig({ CAIRN_CONFIG: path }).actions.agents.a?.systemPrompt, 'say ${NAME}')
})

t.test('every fault of the file is named with its pointer and without values', async (t) => {
  const path = fileOf(t, {
    agents: { 'a/b': { baseUrl: 'ftp://h', model: '${NOPE}', apiKey: '${secrets.NONE}', key: 'sk-live' } },
    dataSources: { main: {}, other: { url: 'mysql://u:hunter2@h' } },
    http: { allowedHosts: ['no-port'] },
    agent: {},
  })
  const faults = faultsOf({ CAIRN_CONFIG: path })
  t.same(
    new Set(faults.map((fault) => fault.split(' ')[0])),
    new Set([
      'CAIRN_CONFIG#/agents/a~1b/model',
      'CAIRN_CONFIG#/agents/a~1b/apiKey',
      'CAIRN_CONFIG#/agents/a~1b/key',
      'CAIRN_CONFIG#/agents/a~1b/baseUrl',
      'CAIRN_CONFIG#/dataSources/main/url',
      'CAIRN_CONFIG#/dataSources/other/url',
      'CAIRN_CONFIG#/http/allowedHosts/0',
      'CAIRN_CONFIG#/agent',
    ]),
  )
  t.notMatch(faults.join('\n'), /sk-live|hunter2/)
  t.match(faults.join('\n'), /NOPE, which is not set/)
})

t.test('a file that is missing or no JSON is a fault that does not quote it', async (t) => {
  const [fault = ''] = faultsOf({ CAIRN_CONFIG: fileOf(t, '{"apiKey": sk-live}') })
  t.match(fault, /^CAIRN_CONFIG .*cairn\.json is not valid JSON/)
  t.notMatch(fault, /sk-live/)
  t.match(faultsOf({ CAIRN_CONFIG: join(t.testdir(), 'none.json') }), [
    /^CAIRN_CONFIG .*none\.json cannot be read: ENOENT/,
  ])
})

t.test('a .env file is not read', async (t) => {
  const folder = t.testdir({ '.env': 'PORT=1' })
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  process.chdir(folder)
  t.equal(loadConfig({}).server.port, 3000)
})
