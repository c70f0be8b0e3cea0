import { Ajv2020 } from 'ajv/dist/2020.js'

type Schema = Record<string, unknown>
interface Operation {
  readonly responses: Record<string, { content?: Record<string, { schema: Schema }> }>
}
interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: unknown
}

/** Holds answers against an OpenAPI document: their status, media type and body must be described there, with no field more. */
export class Contract {
  readonly #paths: { pattern: RegExp; template: string; operations: Record<string, Operation> }[]
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })

  constructor(document: object) {
    const { paths, ...rest } = closed(document) as { paths: Record<string, Record<string, Operation>> }
    this.#ajv.addSchema({ ...rest, paths, $id: 'cairn' })
    this.#paths = Object.entries(paths)
      .map(([template, operations]) => ({ template, operations, pattern: patternOf(template) }))
      // A literal segment goes before a parameter, as in the router.
      .sort((a, b) => a.template.split('{').length - b.template.split('{').length)
  }

  /** What is wrong with the answer; empty when it is as described. */
  faults(method: string, path: string, { status, headers, body }: Answer): string[] {
    const found = this.#paths.find(({ pattern, operations }) => pattern.test(path) && operations[method.toLowerCase()])
    if (!found) return status === 404 || status === 405 ? [] : [`${method} ${path} is not described`]
    const response = found.operations[method.toLowerCase()]!.responses[status]
    if (!response) return [`${method} ${found.template} does not describe ${status}`]
    if (headers['x-request-id'] === undefined) return ['x-request-id is missing']
    if (!response.content) return body === '' ? [] : [`${status} has a body`]
    const mediaType = String(headers['content-type']).split(';')[0]!
    if (!response.content[mediaType]) return [`${method} ${found.template} ${status} does not describe ${mediaType}`]
    if (!mediaType.endsWith('json')) return []
    const pointer = ['paths', found.template, method.toLowerCase(), 'responses', status, 'content', mediaType, 'schema']
    const validate = this.#ajv.compile({
      $ref: `cairn#/${pointer.map((part) => encodeURIComponent(escapePointer(String(part)))).join('/')}`,
    })
    if (validate(body)) return []
    return validate.errors!.map((error) => `${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`)
  }
}

/** Answers may hold no field that their schema does not name; problems may. */
function closed(document: object): object {
  const { components, ...rest } = structuredClone(document) as { components: { schemas: Record<string, Schema> } }
  for (const [name, schema] of Object.entries(components.schemas)) if (name !== 'Problem') close(schema)
  return { ...rest, components }
}

function close(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return
  const { properties, additionalProperties } = schema as Schema
  if (properties && additionalProperties === undefined) Object.assign(schema, { additionalProperties: false })
  for (const child of Object.values(schema)) close(child)
}

const patternOf = (template: string): RegExp => new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+')}$`)

const escapePointer = (part: string): string => part.replaceAll('~', '~0').replaceAll('/', '~1')
