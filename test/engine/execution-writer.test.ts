import t from 'tap'
import { createState } from '../../src/engine/core/state.ts'
import { encode } from '../../src/engine/encode.ts'
import { ExecutionWriter } from '../../src/engine/execution-writer.ts'
import type { Services } from '../../src/engine/services.ts'
import type { Append } from '../../src/repository/append.ts'
import { executionRow } from '../harness/rows.ts'

/** A writer on a clock that stands at `now`, and what it has handed to the journal. */
function open(now: number, basisAt?: number) {
  const row = executionRow({ status: 'running' })
  const sent: Append[] = []
  const services = { node: 'n', clock: { now: () => now }, journal: { append: (append: Append) => sent.push(append) } }
  const basis = basisAt === undefined ? null : { seq: 7, at: basisAt }
  const none = { committed() {}, rejected() {}, abandoned() {} }
  const writer = new ExecutionWriter(row, basis, services as unknown as Services, none)
  const state = createState({ executionId: row.id, format: 1, input: null, variables: {} })
  return { writer, state, sent, id: row.id }
}

t.test(
  'an event is never recorded earlier than the one before it, wherever a rollback turned the state back to',
  async (t) => {
    const { writer, state, sent, id } = open(1_000)
    t.equal(writer.timeAfter(state), 1_000, 'the clock of the node')
    // An event of a node whose clock was ahead, or whose offset was measured anew since.
    writer.draft.add(encode(id, { seq: 1, at: 5_000, type: 'execution.paused', data: {} }, 0))
    Object.assign(state, { status: 'paused', at: 5_000, seq: 1 })
    writer.send(state)
    t.equal(sent.length, 1)
    // The state at a checkpoint: its time is long past.
    t.equal(writer.timeAfter({ ...state, at: 10 }), 5_000)
    t.equal(writer.timeAfter({ ...state, at: 6_000 }), 6_000)
  },
)

t.test('what was read after a claim counts too', async (t) => {
  const { writer, state } = open(1_000, 4_000)
  t.equal(writer.timeAfter({ ...state, at: 10 }), 4_000)
})
