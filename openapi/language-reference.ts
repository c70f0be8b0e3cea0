/** Writes docs/language.md: every field of the language from its schemas, with the examples of examples/language. */
import { readdirSync, readFileSync } from 'node:fs'
import { languageOf, stepTypes } from '../src/definition/language.ts'
import { Definition } from '../src/definition/schema.ts'
import { compositeFields, RetryPolicy, stepFields } from '../src/definition/schema-fields.ts'
import { builtInActions } from '../src/engine/actions/registry.ts'

/** What this reads of a schema; TypeBox's types say more than is needed here. */
interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly title?: string
  readonly description?: string
  readonly default?: unknown
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
}

const folder = new URL('../examples/language/', import.meta.url)
const exampleNames = readdirSync(folder)
  .map((file) => file.replace(/\.json$/, ''))
  .sort()

/** `timeoutMs` says something of its own for each type. */
const { timeoutMs: _, ...fields } = compositeFields('')
const within = Object.fromEntries(Object.entries(fields).filter(([name]) => !(name in stepFields))) as Record<
  string,
  Schema
>

const intro = `# The language

<!-- Written by \`npm run openapi\` from the schemas of src/definition and the examples of examples/language: change those. -->

A workflow is JSON: steps in order, each of a type with a \`config\` of its own. A text that holds \`{{ expression }}\` is a template;
\`when\`, \`condition\` and the like are bare expressions, a safe subset of JavaScript. They see

| name | what it is |
| --- | --- |
| \`input\` | what the execution was started with |
| \`data\` | the output of the step before; at first the input, in a branch or a loop's body what reached the step around it |
| \`steps.<id>\` | a step that has ended: \`output\`, \`status\`; within a body those around it too |
| \`variables\` | the definition's variables, with what \`set\` has given them |
| \`execution\` | \`id\`, \`workflowId\`, \`correlationId\`, \`triggeredBy\`, \`startedAt\` |
| what a step around it names | an item, an index, an error, a signal, what has arrived |

Every example below is carried out by the tests (\`test/examples/small.test.ts\`): it ends as it says. The same as JSON Schema, for
editors: \`/schema/workflow.json\`, [workflow.schema.json](../openapi/workflow.schema.json). What goes wrong when: [errors.md](errors.md).
`

/** The whole document. */
export function languageReference(): string {
  return [
    intro,
    '## A definition\n',
    table(Definition as Schema),
    '## What every step may have\n',
    table({ properties: stepFields as unknown as Record<string, Schema>, required: ['id'] }),
    example('when'),
    '## What every step with steps within may have\n',
    table({ properties: within, required: [] }),
    example('output'),
    example('compensate'),
    ...stepTypes.map((type) => section(type)),
    '## The actions that come with Cairn\n',
    ...builtInActions().actions.map(({ type, configSchema }) => `### \`${type}\`\n\n${table(configSchema as Schema)}`),
    '## Retry policies\n',
    `${sentence((RetryPolicy as Schema).description)}\n`,
    table(RetryPolicy as Schema),
  ].join('\n')
}

function section(type: (typeof stepTypes)[number]): string {
  const schema = languageOf(type).schema as Schema
  const { config, ...others } = schema.properties!
  const own = Object.fromEntries(
    Object.entries(others).filter(([name]) => name !== 'type' && !(name in stepFields) && !isWithin(type, name)),
  )
  const examples = exampleNames.filter((name) => name === type || name.startsWith(`${type}-`))
  return [
    `## \`${type}\`\n`,
    `${sentence(schema.description)}\n`,
    table({ properties: { config: config!, ...own }, required: ['config'] }),
    ...examples.map(example),
  ].join('\n')
}

/** Fields that are told of once, for all types that have them. */
const isWithin = (type: string, name: string): boolean => name in within && type !== 'action' && type !== 'sub_workflow'

function example(name: string): string {
  const { title, definition, input, signals, decisions, ends } = JSON.parse(
    readFileSync(new URL(`${name}.json`, folder), 'utf8'),
  )
  const told = [
    input === undefined ? 'Without input' : `With the input \`${JSON.stringify(input)}\``,
    ...(decisions ?? []).map((decision: unknown) => `the decision \`${JSON.stringify(decision)}\``),
    ...(signals ?? []).map((signal: unknown) => `the signal \`${JSON.stringify(signal)}\``),
  ]
  const { status, ...rest } = ends
  return [
    `${sentence(title)}\n`,
    `\`\`\`json\n${printed(definition.onFailure === undefined ? definition.steps : { steps: definition.steps, onFailure: definition.onFailure })}\n\`\`\`\n`,
    `${told.join(' and ')} it ends \`${status}\`: \`${JSON.stringify(rest)}\`.`,
    `([${name}.json](../examples/language/${name}.json))\n`,
  ].join('\n')
}

/** A row for each field, with those within it below; what a list of steps holds is the language itself. */
function table(schema: Schema): string {
  const rows = rowsOf(schema, '')
  return ['| field | is | meaning |', '| --- | --- | --- |', ...rows, ''].join('\n')
}

function rowsOf({ properties = {}, required = [] }: Schema, prefix: string): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const path = `${prefix}${name}`
    const notes = [
      required.includes(name) ? 'required' : null,
      schema.default === undefined ? null : `default \`${JSON.stringify(schema.default)}\``,
    ].filter((note) => note !== null)
    const meaning = [sentence(schema.description), notes.length === 0 ? '' : `(${notes.join(', ')})`]
    const row = `| \`${path}\` | ${typeOf(schema)} | ${cell(meaning.filter((text) => text !== '').join(' '))} |`
    const within = schema.items?.properties === undefined ? schema : schema.items
    return [row, ...rowsOf(within, schema.items?.properties === undefined ? `${path}.` : `${path}[].`)]
  })
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref === 'StepDefinition#' ? 'step' : '[retry policy](#retry-policies)'
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ')
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeOf))].join(', ')
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}${schema.items.$ref === undefined ? '' : 's'}`
  return schema.type === undefined ? 'anything' : [schema.type].flat().join(', ')
}

/** JSON with what fits into a line in one line. */
function printed(value: unknown, indent = ''): string {
  const line = JSON.stringify(value, null, 1).replace(/\n */g, ' ')
  if (value === null || typeof value !== 'object' || indent.length + line.length <= 110) return line
  const inner = `${indent}  `
  const parts = Array.isArray(value)
    ? value.map((item) => printed(item, inner))
    : Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${printed(item, inner)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ')

const sentence = (text: string | undefined): string =>
  text === undefined || /[.!?]$/.test(text) ? (text ?? '') : `${text}.`
