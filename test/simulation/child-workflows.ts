import type { Script } from './effects.ts'
import { titleOf } from './sayings.ts'

const act = (id: string, script: Partial<Script>, rest: object = {}): object => ({
  id,
  type: 'action',
  config: { type: 'act', outcomes: ['ok'], delayMs: 30, value: '{{ data }}', ...script },
  ...rest,
})

const undo = { type: 'act', outcomes: ['ok'], delayMs: 2, value: '{{ completed }}' }

/** Between two attempts a node may die. */
const again = { maxAttempts: 2, initialIntervalMs: 40, jitter: 0, maxElapsedMs: null }

/**
 * What random definitions name as their sub-workflows: the same ones in every scenario, so that each definition compiles by
 * itself. None names itself without an end, none depends on how long things take.
 */
export const childWorkflows: Readonly<Record<string, object>> = {
  'quick child': { steps: [act('go', { delayMs: 0 }, { compensate: undo })] },
  'slow child': {
    steps: [
      act('first', { outcomes: ['retryable', 'ok'] }, { retryPolicy: again }),
      { id: 'nap', type: 'wait', config: { durationMs: 1_300 } },
      act('last', {}),
    ],
  },
  'bad child': { steps: [act('done', {}, { compensate: undo }), act('no', { outcomes: ['fatal'] })] },
  'only child': {
    concurrency: { scope: 'children', key: 'only', limit: 1 },
    steps: [
      { id: 'deep', type: 'critical_section', config: { mutex: 'deep', steps: [act('in', {})] } },
      act(
        'out',
        { delayMs: 250 },
        { concurrency: { scope: 'children', key: '{{ execution.correlationId }}', limit: 2 } },
      ),
    ],
  },
  'asking child': {
    steps: [
      { id: 'ask', type: 'approval', config: { title: titleOf('rejected') } },
      { id: 'hear', type: 'wait_for_signal', config: { signal: 'news' } },
      act('last', { delayMs: 0 }),
    ],
  },
  'child with children': {
    steps: [
      {
        id: 'two',
        type: 'parallel',
        config: {
          steps: [
            { id: 'awaited', type: 'sub_workflow', config: { workflow: 'quick child' } },
            {
              id: 'beside',
              type: 'sub_workflow',
              config: { workflow: 'slow child', mode: 'fire_and_forget', parentClosePolicy: 'wait' },
            },
          ],
        },
      },
      act('after', {}),
    ],
  },
}
