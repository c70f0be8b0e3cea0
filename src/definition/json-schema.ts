import { definitionSchemas } from './schema.ts'

/**
 * The language as one JSON Schema (2020-12) that stands alone: for editors, and for whoever checks definitions before posting
 * them. Names are those of OpenAPI's components.
 */
export function languageSchema(): object {
  const definitions = definitionSchemas.map((schema) => {
    const { $id, ...rest } = JSON.parse(JSON.stringify(schema).replaceAll(/"\$ref":"(\w+)#"/g, '"$ref":"#/$defs/$1"'))
    return [$id, rest] as const
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Cairn workflow definition',
    $ref: '#/$defs/Definition',
    $defs: Object.fromEntries(definitions),
  }
}
