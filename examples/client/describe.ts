import { styleText } from 'node:util'
import type { JournalEvent } from './client.ts'

const done = (step: string, result: string): string =>
  `${styleText('green', '✓')} ${step.padEnd(20)} ${styleText('dim', result)}`

/**
 * An event in a few words; null when it says nothing to people.
 * @param names of the steps, by path.
 */
export function describe({ type, path = '', data }: JournalEvent, names: ReadonlyMap<string, string>): string | null {
  const step = names.get(path) ?? path
  switch (type) {
    case 'step.completed':
      return done(step, `${data.durationMs ?? 0} ms`)
    case 'condition.evaluated':
      return done(step, String(data.result))
    case 'step.skipped':
      return styleText('dim', `– ${step.padEnd(20)} skipped`)
    case 'step.failed': {
      const { type, message } = data.error as { type: string; message: string }
      const next = data.retryAt === null ? '' : ' (will be tried again)'
      return `${styleText('red', '✗')} ${step.padEnd(20)} ${type}: ${message}${next}`
    }
    case 'step.entered':
    case 'step.started':
    case 'execution.started':
    case 'execution.parked':
      return null
    default:
      return styleText('cyan', `● ${type.replace(/[._]/g, ' ')}`)
  }
}
