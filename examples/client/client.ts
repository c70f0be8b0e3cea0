import { isDeepStrictEqual } from 'node:util'
import { ApiProblem } from './problem.ts'

export interface Workflow {
  readonly id: string
  readonly name: string
  readonly version: number
  readonly definition: Definition
}

/** The JSON of a definition; the service says what is wrong with it. */
export interface Definition {
  readonly name: string
  readonly [key: string]: unknown
}

export interface Execution {
  readonly id: string
  readonly status: string
  readonly percentage: number
  readonly output: unknown
  readonly error: { readonly type: string; readonly message: string; readonly details?: Record<string, unknown> } | null
  readonly lastSeq: number
}

export interface Progress {
  readonly status: string
  readonly completedSteps: number
  readonly totalSteps: number
  readonly percentage: number
  readonly lastSeq: number
  readonly currentStep: { readonly path: string; readonly name: string } | null
  readonly steps: readonly { readonly path: string; readonly name: string }[]
}

export interface Checkpoint {
  readonly index: number
  readonly seq: number
  readonly stepPath: string
}

export interface JournalEvent {
  readonly seq: number
  readonly type: string
  readonly path?: string
  readonly at: string
  readonly percentage: number
  readonly data: Record<string, unknown>
}

/** As much of Cairn's REST API as the examples need, with nothing but fetch. Failures are thrown as ApiProblem. */
export class CairnClient {
  readonly url: string

  /** @param url of the service, e.g. http://127.0.0.1:3000 */
  constructor(url: string) {
    this.url = url.replace(/\/+$/, '')
  }

  /** The active workflow of the definition's name with just this definition: created, given a new version, or as it was. */
  async publish(definition: Definition): Promise<Workflow> {
    const name = encodeURIComponent(definition.name)
    const found = await this.#ask<{ items: Workflow[] }>('GET', `/api/workflows?name=${name}&status=active`)
    const [workflow] = found.items
    if (workflow === undefined) return this.#ask('POST', '/api/workflows', definition)
    if (isDeepStrictEqual(workflow.definition, definition)) return workflow
    return this.#ask('PUT', `/api/workflows/${workflow.id}`, definition)
  }

  archive(workflowId: string): Promise<void> {
    return this.#ask('DELETE', `/api/workflows/${workflowId}`)
  }

  /** Starts an execution; with `waitMs` the answer waits for its end, for so long at most. */
  start(
    workflowId: string,
    request: { input?: unknown; triggeredBy?: string; waitMs?: number } = {},
  ): Promise<Execution> {
    const { waitMs = 0, ...rest } = request
    return this.#ask('POST', `/api/workflows/executions?waitMs=${waitMs}`, { workflowId, ...rest })
  }

  execution(executionId: string): Promise<Execution> {
    return this.#ask('GET', `/api/workflows/executions/${executionId}`)
  }

  progress(executionId: string): Promise<Progress> {
    return this.#ask('GET', `/api/workflows/executions/${executionId}/progress`)
  }

  /** The first 200 events of the journal after a seq. */
  async events(executionId: string, after = 0): Promise<JournalEvent[]> {
    const place = `/api/workflows/executions/${executionId}/events?after=${after}&limit=200`
    return (await this.#ask<{ items: JournalEvent[] }>('GET', place)).items
  }

  async checkpoints(executionId: string): Promise<Checkpoint[]> {
    const place = `/api/workflows/executions/${executionId}/checkpoints`
    return (await this.#ask<{ items: Checkpoint[] }>('GET', place)).items
  }

  control(executionId: string, action: 'pause' | 'resume' | 'cancel' | 'retry', reason?: string): Promise<Execution> {
    return this.#ask('PATCH', `/api/workflows/executions/${executionId}`, { action, reason })
  }

  /** @param request `seq`: the lastSeq that the decision was made on; refused when the execution has moved on since. */
  rollback(
    executionId: string,
    request: { checkpointIndex: number; resume?: boolean; seq?: number },
  ): Promise<Execution> {
    return this.#ask('POST', `/api/workflows/executions/${executionId}/rollback`, request)
  }

  async #ask<Answer>(method: string, place: string, body?: unknown): Promise<Answer> {
    const response = await fetch(this.url + place, {
      method,
      ...(body !== undefined && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    if (!response.ok) throw await ApiProblem.of(`${method} ${place}`, response)
    return (response.status === 204 ? undefined : await response.json()) as Answer
  }
}
