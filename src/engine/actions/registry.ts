import { Compile, type Validator } from 'typebox/compile'
import type { ActionShape } from '../../definition/plan.ts'
import { schemaFaults } from '../../schema-faults.ts'
import { Secrets } from '../secrets.ts'
import { type Action, ActionError } from './action.ts'
import type { AgentOptions } from './agent-protocol.ts'
import { createAiAgentCall } from './ai-agent-call.ts'
import { createDatabaseQuery, type DataSourceOptions } from './database-query.ts'
import { echo } from './echo.ts'
import type { HttpOptions } from './http-connections.ts'
import { createHttpRequest } from './http-request.ts'

interface Entry {
  readonly action: Action
  readonly config: Validator
}

/** The actions that a definition may name, and the check of what is handed to them. */
export class ActionRegistry {
  readonly #entries = new Map<string, Entry>()

  /** Throws when two actions have the same type. */
  constructor(actions: Iterable<Action>) {
    for (const action of actions) {
      if (this.#entries.has(action.type)) throw new Error(`Two actions are named "${action.type}"`)
      this.#entries.set(action.type, { action, config: Compile(action.configSchema) })
    }
  }

  get(type: string): Action | undefined {
    return this.#entries.get(type)?.action
  }

  /** What the definition compiler must know of each action. */
  shapes(): ReadonlyMap<string, ActionShape> {
    return new Map(Array.from(this.#entries.values(), ({ action }) => [action.type, shapeOf(action)]))
  }

  /** The config if it fits the action's schema; throws ActionError ValidationError that lists every fault otherwise. */
  validate(type: string, config: unknown): unknown {
    const entry = this.#entries.get(type)
    if (!entry) {
      throw new ActionError(
        'ValidationError',
        `There is no action "${type}"; there are ${[...this.#entries.keys()].join(', ')}`,
      )
    }
    if (entry.config.Check(config)) return config
    throw invalid(type, schemaFaults(entry.config.Errors(config)))
  }
}

function invalid(type: string, faults: readonly { pointer: string; message: string }[]): ActionError {
  const list = faults.map(({ pointer, message }) => `${pointer || 'config'} ${message}`).join('; ')
  return new ActionError('ValidationError', `The config does not fit ${type}: ${list}`, {
    details: { faults: faults.map(({ pointer, message }) => ({ pointer, message })) },
  })
}

function shapeOf({ type, configSchema, secretFields = [], literalFields = [], conflicts }: Action): ActionShape {
  return { type, configSchema, secretFields, literalFields, conflicts }
}

export interface BuiltInOptions {
  readonly agents?: Readonly<Record<string, AgentOptions>>
  readonly dataSources?: Readonly<Record<string, DataSourceOptions>>
  readonly http?: HttpOptions
  readonly secrets?: Secrets
  /** The largest output that is worth reading to its end: what one output may take. 1 MiB by default. */
  readonly maxPayloadBytes?: number
}

/** The actions that come with Cairn. `close()` ends their connections and what still goes over them; safe to call twice. */
export function builtInActions(options: BuiltInOptions = {}): { actions: Action[]; close(): Promise<void> } {
  const {
    agents = {},
    dataSources = {},
    http = {},
    secrets = new Secrets(),
    maxPayloadBytes: maxBytes = 1_048_576,
  } = options
  const connected = [
    createHttpRequest({ ...http, secrets, maxBytes }),
    createDatabaseQuery({ dataSources, maxBytes }),
    createAiAgentCall({ agents, secrets }),
  ]
  return {
    actions: [echo, ...connected.map(({ action }) => action)],
    async close() {
      await Promise.all(connected.map(({ close }) => close()))
    },
  }
}
