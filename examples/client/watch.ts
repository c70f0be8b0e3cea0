import { styleText } from 'node:util'
import type { JournalEvent } from './client.ts'
import { follow } from './follow.ts'
import { ProgressBar } from './progress-bar.ts'

/** Events after which nothing comes by itself. */
const ends = /^execution\.(completed|failed|cancelled|quarantined)$/

/**
 * Shows an execution's progress, as its WebSocket tells it, until the execution has ended.
 * @param options `after`: events after this seq only; `onEvent`: may act on an event before the next one is shown; its
 * `note` adds a line.
 * @returns the events, in order; the last one says how it ended.
 */
export async function watch(
  url: string,
  executionId: string,
  options: { after?: number; onEvent?: (event: JournalEvent, note: (text: string) => void) => Promise<void> } = {},
): Promise<JournalEvent[]> {
  const bar = new ProgressBar()
  const events: JournalEvent[] = []
  const names = new Map<string, string>()
  let percentage = 0
  let doing = ''
  for await (const message of follow(url, executionId, options.after)) {
    switch (message.type) {
      case 'snapshot':
        for (const { path, name } of message.progress.steps) names.set(path, name)
        percentage = message.progress.percentage
        doing = message.progress.currentStep?.name ?? ''
        break
      case 'step.started':
        doing = names.get(message.path) ?? message.path
        break
      case 'event': {
        const { event } = message
        percentage = message.percentage
        events.push(event)
        const text = describe(event, names)
        if (text !== null) bar.note(percentage, text)
        if (event.path !== undefined) doing = ''
        bar.show(percentage, event.type === 'execution.paused' ? 'paused' : doing)
        await options.onEvent?.(event, (text) => bar.note(percentage, text))
        if (!ends.test(event.type)) break
        bar.end()
        return events
      }
    }
    bar.show(percentage, doing)
  }
  throw new Error(`The stream of execution ${executionId} ended`)
}

/** An event in a few words; null when it is of no interest to people. */
function describe({ type, path = '', data }: JournalEvent, names: ReadonlyMap<string, string>): string | null {
  const step = (names.get(path) ?? path).padEnd(20)
  switch (type) {
    case 'step.completed':
      return `${styleText('green', '✓')} ${step} ${styleText('dim', `${data.durationMs ?? 0} ms`)}`
    case 'condition.evaluated':
      return `${styleText('green', '✓')} ${step} ${styleText('dim', String(data.result))}`
    case 'step.skipped':
      return `${styleText('dim', '–')} ${step} ${styleText('dim', 'skipped')}`
    case 'step.failed': {
      const { type, message } = data.error as { type: string; message: string }
      const next = data.retryAt === null ? '' : ' (will be tried again)'
      return `${styleText('red', '✗')} ${step} ${type}: ${message}${next}`
    }
    case 'step.entered':
    case 'step.started':
    case 'execution.started':
    case 'execution.parked':
      return null
    default:
      return styleText('cyan', `● ${type.replace('.', ' ').replace('_', ' ')}`)
  }
}
