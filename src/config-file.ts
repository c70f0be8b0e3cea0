import { readFileSync } from 'node:fs'
import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import type { Json } from './definition/json.ts'
import type { Fault } from './errors.ts'
import { escapePointer, schemaFaults } from './schema-faults.ts'

const strict = { additionalProperties: false } as const
/** Value.Default fills in the members of a record only when their schema has a default itself; it is never used as such. */
const member = { ...strict, default: {} } as const

const Agent = Type.Object(
  {
    baseUrl: Type.String({
      pattern: '^https?://[^/]',
      description: 'Of an OpenAI-compatible API, as a rule ending in /v1',
    }),
    model: Type.String({ minLength: 1 }),
    apiKey: Type.Optional(Type.String({ minLength: 1 })),
    headers: Type.Optional(Type.Record(Type.String(), Type.String())),
    systemPrompt: Type.Optional(Type.String()),
    outputSchema: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'JSON Schema of the answer' }),
    ),
    structuredOutputs: Type.Boolean({ default: true, description: 'The server knows response_format json_schema' }),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
    maxOutputTokens: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  member,
)

const DataSource = Type.Object(
  {
    url: Type.String({ pattern: '^postgres(ql)?://', description: 'Of a PostgreSQL database' }),
    readOnly: Type.Boolean({ default: false, description: 'Every query runs in a read-only transaction' }),
    poolSize: Type.Integer({ default: 5, minimum: 1, maximum: 1_000 }),
  },
  member,
)

const Http = Type.Object(
  {
    allowPrivateNetwork: Type.Boolean({ default: false }),
    allowedHosts: Type.Array(
      Type.String({ pattern: '^(\\[[0-9a-fA-F:.]+\\]|[^\\s:/@]+):[0-9]{1,5}$', description: '"host:port"' }),
      { default: [] },
    ),
  },
  member,
)

/** The file that CAIRN_CONFIG names: what the actions may reach. */
export const ConfigFile = Type.Object(
  {
    agents: Type.Record(Type.String({ minLength: 1 }), Agent, { default: {} }),
    dataSources: Type.Record(Type.String({ minLength: 1 }), DataSource, { default: {} }),
    http: Http,
  },
  strict,
)
export type ConfigFile = Static<typeof ConfigFile>

export interface Sources {
  readonly environment: NodeJS.ProcessEnv
  readonly secrets: Readonly<Record<string, string>>
}

/**
 * Reads and checks the file; without a path there are no agents and no data sources. `${NAME}` in a string stands for an
 * environment variable, `${secrets.NAME}` for a secret, `$${` for a literal `${`. What is wrong goes to `faults`, as
 * `CAIRN_CONFIG#` and a JSON pointer, and never with a value.
 */
export function readConfigFile(path: string | undefined, sources: Sources, faults: Fault[]): ConfigFile {
  const content = path === undefined ? {} : parseFile(path, faults)
  if (content === undefined) return Value.Default(ConfigFile, {}) as ConfigFile
  const found: Fault[] = []
  const file = Value.Default(ConfigFile, fillIn(content, '', sources, found)) as ConfigFile
  const unresolved = new Set(found.map(({ pointer }) => pointer))
  found.push(...schemaFaults(Value.Errors(ConfigFile, file)).filter(({ pointer }) => !unresolved.has(pointer)))
  for (const { pointer, message } of found) faults.push({ pointer: `CAIRN_CONFIG#${pointer}`, message })
  return file
}

function parseFile(path: string, faults: Fault[]): Json | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Json
  } catch (error) {
    const { message } = error as Error
    // JSON.parse quotes the text around the fault, and that may be a key.
    const problem =
      error instanceof SyntaxError
        ? `is not valid JSON${/ \(line \d+ column \d+\)/.exec(message)?.[0] ?? ''}`
        : `cannot be read: ${message}`
    faults.push({ pointer: 'CAIRN_CONFIG', message: `${path} ${problem}` })
    return undefined
  }
}

const reference = /\$(\$\{)|\$\{(?:secrets\.([A-Za-z_][A-Za-z0-9_.-]*)|([A-Za-z_][A-Za-z0-9_]*))\}/g

function fillIn(value: Json, pointer: string, sources: Sources, faults: Fault[]): Json {
  if (typeof value === 'string') {
    return value.replace(reference, (_, literal?: string, secret?: string, variable = '') => {
      if (literal !== undefined) return literal
      const found = secret === undefined ? sources.environment[variable] : sources.secrets[secret]
      if (found === undefined) {
        const missing =
          secret === undefined ? `the variable ${variable}, which is not set` : `the unknown secret ${secret}`
        faults.push({ pointer, message: `refers to ${missing}` })
      }
      return found ?? ''
    })
  }
  if (Array.isArray(value)) return value.map((item, index) => fillIn(item, `${pointer}/${index}`, sources, faults))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      fillIn(member, `${pointer}/${escapePointer(key)}`, sources, faults),
    ]),
  )
}
