import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { Compile } from 'typebox/compile'
import { storedMessage, storedPattern } from '../definition/stored-text.ts'
import { CairnError, type Fault } from '../errors.ts'
import { schemaFaults } from '../schema-faults.ts'

interface JsonSchema {
  readonly $ref?: string
  readonly type?: string
  readonly format?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean
}
type Check = (value: unknown) => true | { value: unknown } | { error: Error }

/** A definition's faults are found by its compiler, all at once and with remedies; a second, poorer opinion would hide them. */
const JUDGED_BY_ENGINE = 'Definition#'

const noQuery = Type.Object({})

/**
 * Checks params, query, headers and body with TypeBox. Unknown query and body fields are refused; texts of the query become
 * numbers and booleans where the schema wants them, those of a body never.
 */
const validation: FastifyPluginAsync = async (app) => {
  app.addHook('onRoute', (route) => {
    if (route.schema) route.schema.querystring ??= noQuery
  })

  app.setValidatorCompiler<JsonSchema>(({ schema, httpPart }): Check => {
    if (schema.$ref === JUDGED_BY_ENGINE) return () => true
    const resolved = schema.$ref ? (app.getSchema(schema.$ref.slice(0, -1)) as JsonSchema) : schema
    if (httpPart === 'body') return checkOf(resolved)
    const check = checkOf(httpPart === 'querystring' ? { ...resolved, additionalProperties: false } : resolved)
    return (value) => {
      const converted = fromText(resolved, value as Record<string, unknown>)
      const result = check(converted)
      if (result === true) return { value: converted }
      return { error: (httpPart === 'params' && namesNothing(result.error, converted)) || result.error }
    }
  })
}
export const validationPlugin = fp(validation, { name: 'validation' })

function checkOf(schema: JsonSchema): (value: unknown) => true | { error: CairnError } {
  const compiled = Compile(schema)
  return (value) => {
    if (compiled.Check(value)) return true
    return {
      error: new CairnError('REQUEST_INVALID', [], { faults: schemaFaults(compiled.Errors(value)).map(inPlainWords) }),
    }
  }
}

/** Numbers, booleans and ids from text. What is no number stays as it is, for the schema to refuse. */
function fromText({ properties = {} }: JsonSchema, texts: Record<string, unknown>): Record<string, unknown> {
  const converted = { ...texts }
  for (const [name, text] of Object.entries(texts)) {
    const { type, format } = properties[name] ?? {}
    if (typeof text !== 'string') continue
    if (type === 'integer' && /^-?\d{1,15}$/.test(text)) converted[name] = Number(text)
    if (type === 'boolean' && (text === 'true' || text === 'false')) converted[name] = text === 'true'
    if (format === 'uuid') converted[name] = text.toLowerCase()
  }
  return converted
}

/** In a path, an id that is no UUID and a number that is none name nothing, as one that does not exist. */
function namesNothing(
  { faults }: CairnError,
  { workflowId, executionId, approvalId, version, index }: Record<string, unknown>,
): CairnError | undefined {
  switch (faults[0]?.pointer) {
    case '/workflowId':
      return new CairnError('WORKFLOW_NOT_FOUND', [workflowId])
    case '/executionId':
      return new CairnError('EXECUTION_NOT_FOUND', [executionId])
    case '/approvalId':
      return new CairnError('APPROVAL_NOT_FOUND', [approvalId])
    case '/version':
      return new CairnError('VERSION_NOT_FOUND', [workflowId, version])
    case '/index':
      return new CairnError('CHECKPOINT_NOT_FOUND', [executionId, index])
  }
}

/** Regular expressions and names of formats tell people little. */
function inPlainWords({ pointer, message }: Fault): Fault {
  if (message.includes(storedPattern)) return { pointer, message: storedMessage }
  if (message.includes('"date-time"'))
    return { pointer, message: 'must be a time as in RFC 3339, e.g. 2026-11-22T21:48:05Z' }
  if (message.includes('"uuid"')) return { pointer, message: 'must be a UUID' }
  return { pointer, message }
}
