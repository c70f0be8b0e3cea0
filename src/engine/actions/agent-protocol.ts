import { type Dispatcher, fetch } from 'undici'
import type { Json, JsonObject } from '../../definition/json.ts'
import type { Fault } from '../../errors.ts'
import type { ActionContext } from './action.ts'
import { tracingHeaders } from './http-outgoing.ts'
import { outputFaults } from './output-schema.ts'

/** A named agent: a model behind an OpenAI-compatible API, and how it is asked. */
export interface AgentOptions {
  /** Of the API, as a rule ending in /v1. */
  readonly baseUrl: string
  readonly model: string
  readonly apiKey?: string
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>>
  readonly systemPrompt?: string
  /** JSON Schema; the output is then an object that fits it. */
  readonly outputSchema?: JsonObject | Readonly<Record<string, unknown>>
  /** false: the server knows no response_format json_schema; the schema goes into the system prompt instead. */
  readonly structuredOutputs?: boolean
  readonly temperature?: number
  readonly maxOutputTokens?: number
}

export interface AgentAnswer {
  readonly output: Json
  readonly usage: JsonObject
  readonly finishReason: string
  /** As the server names it. */
  readonly model: string | undefined
}

/** An answer that should fit the output schema and does not. */
export class UnfitAnswer extends Error {
  readonly faults: readonly Fault[]
  readonly text: string

  constructor(faults: readonly Fault[], text: string) {
    super(
      `The answer does not fit the output schema: ${faults.map((fault) => `${fault.pointer || '/'} ${fault.message}`).join('; ')}`,
    )
    this.faults = faults
    this.text = text
  }
}

/** The server's content filter stopped the answer. */
export class RefusedAnswer extends Error {}

/** Asks once: the SDK's own retries are off, the step's policy decides. Throws what the SDK throws, UnfitAnswer, RefusedAnswer. */
export async function askAgent(
  agent: AgentOptions,
  prompt: string,
  context: ActionContext,
  dispatcher: Dispatcher,
): Promise<AgentAnswer> {
  const { signal } = context
  const { generateText, jsonSchema, Output, NoObjectGeneratedError, createOpenAICompatible } = await loadSdk()
  const { outputSchema, structuredOutputs = true } = agent
  const provider = createOpenAICompatible({
    name: 'cairn',
    baseURL: agent.baseUrl,
    apiKey: agent.apiKey,
    headers: { 'idempotency-key': context.idempotencyKey, ...tracingHeaders(context), ...agent.headers },
    supportsStructuredOutputs: structuredOutputs,
    fetch: ((url: string, init: object) => fetch(url, { ...init, dispatcher })) as unknown as typeof globalThis.fetch,
  })
  const result = await generateText({
    model: provider(agent.model),
    instructions: instructionsOf(agent),
    prompt,
    temperature: agent.temperature,
    maxOutputTokens: agent.maxOutputTokens,
    maxRetries: 0,
    abortSignal: signal,
    // Asks the server for the format. Whether the answer fits is checked below, where it can be told what does not.
    ...(outputSchema && { output: Output.object({ schema: jsonSchema(outputSchema) }) }),
  }).catch((error: unknown) => {
    if (outputSchema && NoObjectGeneratedError.isInstance(error)) throw new UnfitAnswer([notJson], error.text ?? '')
    throw error
  })
  for (const warning of result.warnings ?? []) context.log.warn({ warning }, 'agent: a setting was not understood')
  const { text, finishReason } = result
  if (finishReason === 'content-filter') throw new RefusedAnswer()
  return {
    output: outputSchema ? fitting(outputSchema, text) : text,
    usage: usageOf(result.usage),
    finishReason,
    model: result.response.modelId,
  }
}

/** 0.3 s and 20 MB that only those pay who call agents. */
async function loadSdk() {
  // Otherwise the SDK prints its warnings on the console.
  Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })
  const [sdk, { createOpenAICompatible }] = await Promise.all([import('ai'), import('@ai-sdk/openai-compatible')])
  return { ...sdk, createOpenAICompatible }
}

function instructionsOf({ systemPrompt, outputSchema, structuredOutputs = true }: AgentOptions): string | undefined {
  if (!outputSchema || structuredOutputs) return systemPrompt
  const format = `Answer with nothing but JSON that fits this JSON Schema:\n${JSON.stringify(outputSchema)}`
  return systemPrompt ? `${systemPrompt}\n\n${format}` : format
}

function fitting(schema: object, text: string): Json {
  let output: Json
  try {
    output = JSON.parse(text) as Json
  } catch {
    throw new UnfitAnswer([notJson], text)
  }
  const faults = outputFaults(schema, output)
  if (faults.length > 0) throw new UnfitAnswer(faults, text)
  return output
}
const notJson: Fault = { pointer: '', message: 'is not valid JSON, or was cut off by maxOutputTokens' }

interface Usage {
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
  readonly totalTokens: number | undefined
  readonly inputTokenDetails: { readonly cacheReadTokens: number | undefined }
  readonly outputTokenDetails: { readonly reasoningTokens: number | undefined }
}

/** Only what the server counted. */
function usageOf({ inputTokens, outputTokens, totalTokens, inputTokenDetails, outputTokenDetails }: Usage): JsonObject {
  const counts = {
    inputTokens,
    outputTokens,
    totalTokens,
    cachedInputTokens: inputTokenDetails.cacheReadTokens,
    reasoningTokens: outputTokenDetails.reasoningTokens,
  }
  return Object.fromEntries(Object.entries(counts).filter((entry): entry is [string, number] => entry[1] !== undefined))
}
