import { Type } from 'typebox'
import type { Json } from '../../definition/json.ts'
import type { Secrets } from '../secrets.ts'
import { type Action, type ActionContext, ActionError, type ActionResult, defineAction } from './action.ts'
import { agentFailure } from './agent-errors.ts'
import { type AgentAnswer, type AgentOptions, askAgent } from './agent-protocol.ts'
import { gated, openConnections } from './http-connections.ts'
import { validatorOf } from './output-schema.ts'

const AgentConfig = Type.Object(
  {
    agent: Type.String({ minLength: 1, description: 'One of the agents that the operator configured' }),
    prompt: Type.Optional(
      Type.Unknown({ description: "Text, or any JSON, sent as such; the step's `data` by default" }),
    ),
    system: Type.Optional(Type.String({ description: "Instead of the agent's own system prompt" })),
    outputSchema: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'JSON Schema: the output is an object that fits it' }),
    ),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
    maxOutputTokens: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  { additionalProperties: false },
)
type AgentConfig = Type.Static<typeof AgentConfig>

/** A model may think for long before it says its first word. */
const silenceMs = 600_000
const maxAnswerBytes = 16_777_216

/**
 * Asks an agent, by the OpenAI-compatible protocol. The output is its text, or an object where there is an output schema.
 * Throws when an agent's own output schema is none. `close()` ends the connections that it keeps.
 */
export function createAiAgentCall(options: {
  readonly agents: Readonly<Record<string, AgentOptions>>
  readonly secrets: Secrets
}): { action: Action; close(): Promise<void> } {
  const agents = new Map(Object.entries(options.agents))
  for (const [name, { outputSchema }] of agents)
    if (outputSchema) checkSchema(outputSchema, `agent ${name}: outputSchema`)
  // Where agents are is the operator's word, not the definition's: they may well be on the private network.
  const connections = openConnections(
    { allowPrivateNetwork: true },
    { headersTimeout: silenceMs, bodyTimeout: silenceMs, maxResponseSize: maxAnswerBytes },
  )
  const action = defineAction({
    type: 'ai_agent_call',
    configSchema: AgentConfig,
    target: ({ agent }) => (agents.has(agent) ? `agent:${agent}` : null),
    async perform(config, context) {
      const agent = mergedAgent(agents, config)
      const gate = gated(connections, context.mayPerform)
      try {
        const answer = await askAgent(agent, promptOf(config, context), context, gate.dispatcher)
        return resultOf(answer, config.agent, agent)
      } catch (error) {
        if (gate.refusal) throw gate.refusal.reason
        if (context.signal.aborted) throw context.signal.reason
        throw agentFailure(error, config.agent, options.secrets)
      }
    },
  })
  return { action, close: () => connections.destroy() }
}

/** The agent as this step wants it: what the step says itself comes first. */
function mergedAgent(agents: ReadonlyMap<string, AgentOptions>, config: AgentConfig): AgentOptions {
  const agent = agents.get(config.agent)
  if (!agent) {
    const known =
      agents.size > 0 ? `there are ${[...agents.keys()].join(', ')}` : 'none is configured; see CAIRN_CONFIG'
    throw invalid('/agent', `There is no agent "${config.agent}": ${known}`)
  }
  if (config.outputSchema) checkSchema(config.outputSchema, '/outputSchema')
  return {
    ...agent,
    systemPrompt: config.system ?? agent.systemPrompt,
    outputSchema: config.outputSchema ?? agent.outputSchema,
    temperature: config.temperature ?? agent.temperature,
    maxOutputTokens: config.maxOutputTokens ?? agent.maxOutputTokens,
  }
}

function promptOf({ prompt }: AgentConfig, { data }: ActionContext): string {
  const said = prompt === undefined ? data : (prompt as Json)
  const text = typeof said === 'string' ? said : JSON.stringify(said)
  if (text.trim() === '') throw invalid('/prompt', 'The prompt is empty')
  return text
}

function resultOf(
  { output, usage, finishReason, model }: AgentAnswer,
  name: string,
  agent: AgentOptions,
): ActionResult {
  return { output, meta: { agent: name, model: model ?? agent.model, usage, finishReason } }
}

function checkSchema(schema: object, place: string): void {
  try {
    validatorOf(schema)
  } catch (error) {
    throw invalid(place, `${place} is no JSON Schema: ${(error as Error).message}`)
  }
}

function invalid(pointer: string, message: string): ActionError {
  return new ActionError('ValidationError', message, { details: { faults: [{ pointer, message }] } })
}
