import type { JournalEvent } from './client.ts'
import { describe } from './describe.ts'
import { follow } from './follow.ts'
import { ProgressBar } from './progress-bar.ts'

/** Events after which nothing comes by itself. */
const ends = /^execution\.(completed|failed|cancelled|quarantined)$/

/** What stands beside the bar after an event, until the next attempt begins. */
const labels: Record<string, string> = { 'execution.pause_requested': 'pausing …', 'execution.paused': 'paused' }

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
  let label = ''
  for await (const message of follow(url, executionId, options.after)) {
    if (message.type === 'snapshot') {
      const { steps, currentStep } = message.progress
      for (const { path, name } of steps) names.set(path, name)
      percentage = message.progress.percentage
      label = currentStep === null ? '' : `${currentStep.name} …`
    } else if (message.type === 'step.started') {
      label = `${names.get(message.path) ?? message.path} …`
    } else if (message.type === 'event') {
      events.push(message.event)
      percentage = message.percentage
      const { type } = message.event
      if (type !== 'execution.started') label = labels[type] ?? ''
      const text = describe(message.event, names)
      if (text !== null) bar.note(percentage, text)
    }
    bar.show(percentage, label)
    if (message.type !== 'event') continue
    await options.onEvent?.(message.event, (text) => bar.note(percentage, text))
    if (!ends.test(message.event.type)) continue
    bar.end()
    return events
  }
  throw new Error(`The stream of execution ${executionId} ended`)
}
