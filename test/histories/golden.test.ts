import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { compile } from '../../src/definition/compile.ts'
import { ActionRegistry, builtInActions } from '../../src/engine/actions/registry.ts'
import { keptCheckpoints } from '../../src/engine/core/checkpoint.ts'
import type { JournalEvent } from '../../src/engine/core/event.ts'
import { effectiveRanges, fold } from '../../src/engine/core/fold.ts'
import { snapshotOf, stateOf } from '../../src/engine/core/snapshot.ts'
import { createState } from '../../src/engine/core/state.ts'

const folder = new URL('.', import.meta.url)
const actions = new ActionRegistry(builtInActions().actions).shapes()

for (const name of readdirSync(folder).filter((file) => file.endsWith('.golden.json'))) {
  t.test(`the history ${name} folds to what it came to when it was recorded`, async (t) => {
    const { format, definition, input, events, expected } = JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
    const result = compile(definition, actions)
    if ('faults' in result) throw new Error(JSON.stringify(result.faults))
    const { plan } = result
    const journal: JournalEvent[] = events.map((event: object) => ({ executionId: 'golden', ...event }))
    const rollbacks = journal
      .filter((event) => event.type === 'execution.rolled_back')
      .map((event) => ({ seq: event.seq, toSeq: (event.data as { toSeq: number }).toSeq }))
    const ranges = effectiveRanges(rollbacks, journal.length)
    const effective = ranges.flatMap(([from, to]) => journal.slice(from - 1, to))
    const fresh = () => createState({ executionId: 'golden', format, input, variables: plan.variables })

    const state = fold(plan, fresh(), effective)
    const { status, output, error, percentage } = state
    t.same({ status, output, error, percentage, checkpoints: keptCheckpoints(state) }, expected)

    for (let cut = 1; cut < effective.length; cut++) {
      const before = fold(plan, fresh(), effective.slice(0, cut))
      const restored = stateOf(JSON.parse(JSON.stringify(snapshotOf(before))), input)
      t.same(fold(plan, restored, effective.slice(cut)), state, `and so from a snapshot after ${cut} events`)
    }
    for (const event of effective) t.ok(event.percentage <= 100)
  })
}
