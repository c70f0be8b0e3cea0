import { compile } from '../../src/definition/compile.ts'
import type { Json, JsonObject } from '../../src/definition/json.ts'
import type { Fault, Plan } from '../../src/definition/plan.ts'
import { actions } from './actions.ts'

/** An action step that does nothing in particular. */
export const echo = (id: string, fields: JsonObject = {}): JsonObject => ({
  id,
  type: 'action',
  config: { type: 'echo' },
  ...fields,
})

/** An action step that reads whatever the expression says. */
export const reading = (id: string, expression: string, fields: JsonObject = {}): JsonObject => ({
  id,
  type: 'action',
  config: { type: 'echo', value: `{{ ${expression} }}` },
  ...fields,
})

export const sequential = (id: string, steps: Json[], fields: JsonObject = {}): JsonObject => ({
  id,
  type: 'sequential',
  config: { steps },
  ...fields,
})

export const parallel = (id: string, steps: Json[], fields: JsonObject = {}): JsonObject => ({
  id,
  type: 'parallel',
  config: { steps },
  ...fields,
})

export const condition = (id: string, config: JsonObject, fields: JsonObject = {}): JsonObject => ({
  id,
  type: 'condition',
  config: { condition: 'true', ...config },
  ...fields,
})

export const workflow = (steps: Json, fields: JsonObject = {}): JsonObject => ({ name: 'Test', steps, ...fields })

/** The plan of a definition that must be good. */
export function planOf(definition: unknown): Plan {
  const result = compile(definition, actions)
  if ('faults' in result) throw new Error(`unexpected faults: ${JSON.stringify(result.faults, null, 2)}`)
  return result.plan
}

/** The faults of a definition, none when it is good. */
export function faultsOf(definition: unknown): readonly Fault[] {
  const result = compile(definition, actions)
  return 'faults' in result ? result.faults : []
}
