import type { Event } from './core/event.ts'
import type { AppendedEvent } from './draft.ts'

/** An event as the journal's row; its data is encoded once, here. */
export function encode(executionId: string, event: Event, percentage: number): AppendedEvent {
  const step = event as { readonly path?: string; readonly attempt?: number }
  return {
    executionId,
    seq: event.seq,
    type: event.type,
    path: step.path ?? null,
    attempt: step.attempt ?? null,
    at: event.at,
    percentage,
    data: event.data as AppendedEvent['data'],
    text: JSON.stringify(event.data),
  }
}
