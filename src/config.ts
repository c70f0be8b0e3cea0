import { resolve } from 'node:path'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { type ConfigFile, readConfigFile } from './config-file.ts'
import { readSecrets } from './config-secrets.ts'
import type { Fault } from './errors.ts'
import { schemaFaults } from './schema-faults.ts'

const Switch = (on: 'on' | 'off') => Type.Enum(['on', 'off'], { default: on })
const Count = (preset: number, bounds: { minimum: number; maximum?: number }) =>
  Type.Integer({ default: preset, maximum: 2 ** 31 - 1, ...bounds })
const DatabaseUrl = Type.String({ pattern: '^postgres(ql)?://' })

/** Every setting that the environment may hold. README's table and DESIGN's section 8 list the same names. */
const Environment = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', minLength: 1 }),
  PORT: Count(3000, { minimum: 0, maximum: 65_535 }),
  CAIRN_SHUTDOWN_GRACE_MS: Count(5_000, { minimum: 0 }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], { default: 'info' }),
  DATABASE_URL: Type.Optional(DatabaseUrl),
  CAIRN_DATA_DIR: Type.String({ default: '.cairn' }),
  CAIRN_CONFIG: Type.Optional(Type.String()),
  CAIRN_SECRETS_DIR: Type.Optional(Type.String()),
  CAIRN_MAX_RUNNING: Count(10_000, { minimum: 1 }),
  CAIRN_MAX_HELD_BYTES: Count(536_870_912, { minimum: 1 }),
  CAIRN_MAX_ATTEMPTS: Count(1_000, { minimum: 1 }),
  CAIRN_CIRCUIT_BREAKERS: Switch('on'),
  CAIRN_LEASE_MS: Count(15_000, { minimum: 500 }),
  CAIRN_DRAIN_MS: Count(10_000, { minimum: 0 }),
  CAIRN_PARK_AFTER_MS: Count(1_000, { minimum: 0 }),
  CAIRN_NOTIFY: Switch('on'),
  CAIRN_LISTEN_URL: Type.Optional(DatabaseUrl),
  CAIRN_PREPARE: Switch('on'),
  CAIRN_LANES: Count(1, { minimum: 1, maximum: 16 }),
  CAIRN_MAX_PAYLOAD_BYTES: Count(1_048_576, { minimum: 1_024, maximum: 67_108_864 }),
  CAIRN_MAX_STATE_BYTES: Count(33_554_432, { minimum: 1_024, maximum: 268_435_456 }),
  CAIRN_POOL_SIZE: Count(10, { minimum: 1, maximum: 1_000 }),
  CAIRN_RETENTION_DAYS: Type.Optional(Type.Number({ minimum: 0.01, maximum: 36_500 })),
})
type Environment = Static<typeof Environment>

/** Values that may hold a password; a message about them does not repeat them. */
const confidential = /URL$/

/** How this process was told to run: complete, checked, frozen. Durations are ms, sizes bytes. */
export interface Config {
  readonly server: {
    readonly host: string
    readonly port: number
    /** How long after SIGTERM requests are still taken. */
    readonly shutdownGraceMs: number
  }
  readonly log: { readonly level: Environment['LOG_LEVEL'] }
  readonly database: {
    /** null: the embedded PostgreSQL, whose data lies in `dataDir`. */
    readonly url: string | null
    /** Absolute. */
    readonly dataDir: string
    /** NOTIFY as a hint to other nodes. */
    readonly notify: boolean
    /** Where to LISTEN; null: `url`. */
    readonly listenUrl: string | null
    readonly poolSize: number
    readonly lanes: number
    /** Named prepared statements. */
    readonly prepare: boolean
  }
  readonly engine: {
    readonly maxRunning: number
    readonly maxHeldBytes: number
    readonly maxAttempts: number
    /** Circuits open by themselves. */
    readonly circuitBreakers: boolean
    readonly leaseMs: number
    readonly drainMs: number
    readonly parkAfterMs: number
    readonly maxPayloadBytes: number
    readonly maxStateBytes: number
    /** Days after which finished executions are removed when their workflow does not say; null: never. */
    readonly retentionDays: number | null
  }
  /** From the file that CAIRN_CONFIG names: what the actions may reach. */
  readonly actions: ConfigFile
  /** By name, from CAIRN_SECRET_<NAME> and CAIRN_SECRETS_DIR. */
  readonly secrets: Readonly<Record<string, string>>
}

/** Everything that is wrong with the settings, in one message. */
export class ConfigError extends Error {
  /** `pointer` is the setting's name, or the place in the file. */
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    super(
      ['Cairn cannot start with these settings:', ...faults.map((fault) => `  ${fault.pointer} ${fault.message}`)].join(
        '\n',
      ),
    )
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads the settings from the environment and the files that it names; throws ConfigError with all that is wrong. An
 * empty variable counts as absent. No `.env` file is read.
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const faults: Fault[] = unknownNames(environment)
  const settings = readSettings(environment, faults)
  if (settings.CAIRN_LISTEN_URL !== undefined && settings.DATABASE_URL === undefined)
    faults.push({
      pointer: 'CAIRN_LISTEN_URL',
      message: 'goes with DATABASE_URL: it is another way to the same database',
    })
  const secrets = readSecrets(environment, settings.CAIRN_SECRETS_DIR, faults)
  const actions = readConfigFile(settings.CAIRN_CONFIG, { environment, secrets }, faults)
  if (faults.length > 0) throw new ConfigError(faults)
  return freeze({
    server: { host: settings.HOST, port: settings.PORT, shutdownGraceMs: settings.CAIRN_SHUTDOWN_GRACE_MS },
    log: { level: settings.LOG_LEVEL },
    database: {
      url: settings.DATABASE_URL ?? null,
      dataDir: resolve(settings.CAIRN_DATA_DIR),
      notify: settings.CAIRN_NOTIFY === 'on',
      listenUrl: settings.CAIRN_LISTEN_URL ?? null,
      poolSize: settings.CAIRN_POOL_SIZE,
      lanes: settings.CAIRN_LANES,
      prepare: settings.CAIRN_PREPARE === 'on',
    },
    engine: {
      maxRunning: settings.CAIRN_MAX_RUNNING,
      maxHeldBytes: settings.CAIRN_MAX_HELD_BYTES,
      maxAttempts: settings.CAIRN_MAX_ATTEMPTS,
      circuitBreakers: settings.CAIRN_CIRCUIT_BREAKERS === 'on',
      leaseMs: settings.CAIRN_LEASE_MS,
      drainMs: settings.CAIRN_DRAIN_MS,
      parkAfterMs: settings.CAIRN_PARK_AFTER_MS,
      maxPayloadBytes: settings.CAIRN_MAX_PAYLOAD_BYTES,
      maxStateBytes: settings.CAIRN_MAX_STATE_BYTES,
      retentionDays: settings.CAIRN_RETENTION_DAYS ?? null,
    },
    actions,
    secrets,
  })
}

function unknownNames(environment: NodeJS.ProcessEnv): Fault[] {
  return Object.keys(environment)
    .filter(
      (name) => name.startsWith('CAIRN_') && !name.startsWith('CAIRN_SECRET_') && !(name in Environment.properties),
    )
    .map((name) => ({ pointer: name, message: 'is not a setting of Cairn; the README lists them' }))
}

/** What is wrong goes to `faults`; the result can be relied on only when nothing is. */
function readSettings(environment: NodeJS.ProcessEnv, faults: Fault[]): Environment {
  const given: Record<string, unknown> = {}
  for (const [name, schema] of Object.entries(Environment.properties)) {
    const text = environment[name]
    if (text) given[name] = parsed('type' in schema ? schema.type : undefined, text)
  }
  const settings = Value.Default(Environment, given) as Environment
  for (const { pointer, message } of schemaFaults(Value.Errors(Environment, settings))) {
    const name = pointer.slice(1)
    const value = confidential.test(name) ? '' : `, not ${JSON.stringify(environment[name])}`
    faults.push({ pointer: name, message: `${message}${value}` })
  }
  return settings
}

/** Value.Convert would read "1.7" as the integer 1 and "true" as 1. */
function parsed(type: unknown, text: string): string | number {
  const isNumber = (type === 'integer' && /^-?\d+$/.test(text)) || (type === 'number' && /^-?\d+(\.\d+)?$/.test(text))
  return isNumber ? Number(text) : text
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === 'object' && member !== null) freeze(member)
  return Object.freeze(value)
}
