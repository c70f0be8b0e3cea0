import { v7 } from 'uuid'
import type { ApprovalClosing, ApprovalRow } from '../../../src/repository/approvals.ts'
import { classify } from '../../../src/repository/classify.ts'
import { appendOf, executionRow, startOf } from '../../harness/rows.ts'
import { type Cases, caught, inserted, laneOf, past, registered } from './cases.ts'

const approvalRow = (executionId: string, given: Partial<ApprovalRow> = {}): ApprovalRow => ({
  id: v7(),
  namespace: 'default',
  workflowId: '00000000-0000-7000-8000-000000000001',
  executionId,
  path: 'each[3].ask',
  status: 'open',
  title: 'Refund "120"?\n{a,b}',
  description: null,
  assignees: ['ada', '"q", {b}'],
  groups: [],
  requestedAt: past,
  dueAt: null,
  closedAt: null,
  by: null,
  comment: null,
  data: null,
  requestId: null,
  ...given,
})

const closing = (id: string, given: Partial<ApprovalClosing> = {}): ApprovalClosing => ({
  ...{
    id,
    status: 'approved',
    closedAt: past + 5,
    by: 'ada, "the first"',
    comment: 'a\nb',
    data: { z: 1, a: '\u0000\n' },
    requestId: v7(),
  },
  ...given,
})

const opening = (...opened: ApprovalRow[]) => ({ approvals: { opened, closed: [] } })
const closings = (...closed: ApprovalClosing[]) => ({ approvals: { opened: [], closed } })

/** The list of approvals: what the flushes of their executions say of them. */
export const approvalCases: Cases = {
  'an approval comes and is closed with the append that says so': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const execution = executionRow({ owner: node, workflowVersion: 3 })
    const row = approvalRow(execution.id, { description: 'since, "so"', dueAt: past + 9 })
    t.equal(await lane.flush([startOf(execution, opening(row))], false), 'committed')
    t.same(await store.findApproval(row.id), { ...row, workflowVersion: 3 })
    t.equal(await store.findApproval(v7()), null)
    const said = closing(row.id)
    t.equal(await lane.flush([appendOf(execution.id, 2, 2, closings(said))], false), 'committed')
    t.same(await store.findApproval(row.id), { ...row, ...said, workflowVersion: 3 })
    const { data: _, ...summary } = { ...row, ...said, workflowVersion: 3 }
    t.same(await store.listApprovals({}, 10), { items: [summary], nextCursor: null })
  },

  'the first word on an approval counts, whatever is sent again': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [executionId] = await inserted(t, store, { owner: node })
    const row = approvalRow(executionId!)
    const opened = [appendOf(executionId!, 2, 2, opening(row))]
    t.equal(await lane.flush(opened, true), 'committed', 'a resend of what never arrived')
    t.equal(
      await lane.flush([appendOf(executionId!, 3, 3, closings(closing(row.id, { status: 'rejected' })))], false),
      'committed',
    )
    t.equal(await laneOf(t, store, node).flush(opened, true), 'committed', 'and one of what is over')
    await lane.flush([appendOf(executionId!, 4, 4, closings(closing(row.id), closing(v7())))], false)
    t.match(await store.findApproval(row.id), { status: 'rejected' })
    t.match(await caught(lane.flush([appendOf(executionId!, 5, 5, opening(row))], false)), { code: '23505' })
  },

  'a fenced flush says nothing of approvals': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [executionId] = await inserted(t, store, { owner: node })
    const row = approvalRow(executionId!)
    await lane.flush([appendOf(executionId!, 2, 2, opening(row))], false)
    await store.removeNode(node)
    const other = approvalRow(executionId!)
    const approvals = { opened: [other], closed: [closing(row.id)] }
    t.equal(await lane.flush([appendOf(executionId!, 3, 3, { approvals })], false), 'fenced')
    t.match(await store.findApproval(row.id), { status: 'open' })
    t.equal(await store.findApproval(other.id), null)
  },

  'a flush that commits late has opened and closed once': async (t, side) => {
    const { store } = side
    const { node, lane } = await registered(t, store)
    const row = executionRow({ owner: node })
    const [first, second] = [approvalRow(row.id), approvalRow(row.id)]
    await lane.flush([startOf(row, opening(first))], false)
    const image = { ...row, status: 'waiting', owner: null, lastSeq: 2 } as const
    const approvals = { opened: [second], closed: [closing(first.id)] }
    const flush = [appendOf(row.id, 2, 2, { row: image, approvals })]
    const late = await side.cutOff({ table: 'execution', id: row.id }, (severed) =>
      laneOf(t, severed, node).flush(flush, false),
    )
    t.equal(classify(late.error), 'retry')
    t.match(await store.findApproval(first.id), { status: 'open' })
    await late.commit()
    t.equal(await lane.flush(flush, true), 'committed')
    t.match(await store.findApproval(first.id), { status: 'approved' })
    t.match(await store.findApproval(second.id), { status: 'open' })
  },

  'what an execution that has ended left open is cancelled': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [live, over] = await inserted(t, store, { owner: node }, { owner: node })
    const rows = [live!, over!].map((id) => approvalRow(id))
    await lane.flush(
      rows.map((row) => appendOf(row.executionId, 2, 2, opening(row))),
      false,
    )
    const end = { ...executionRow({ id: over! }), status: 'failed', owner: null, lastSeq: 3 } as const
    await lane.flush([appendOf(over!, 3, 3, { row: end })], false)
    t.match(await store.findApproval(rows[1]!.id), { status: 'cancelled', closedAt: null })
    const ids = async (status: 'open' | 'cancelled') =>
      (await store.listApprovals({ status }, 10)).items.map(({ id }) => id)
    t.same(await ids('open'), [rows[0]!.id])
    t.same(await ids('cancelled'), [rows[1]!.id])
  },

  'approvals are listed newest first, by what is asked for, page by page': async (t, { store }) => {
    const { node, lane } = await registered(t, store)
    const [a, b] = await inserted(t, store, { owner: node }, { owner: node })
    const other = '00000000-0000-7000-8000-000000000002'
    const rows = [
      approvalRow(a!, { requestedAt: past + 2, assignees: ['ada', 'bob'] }),
      approvalRow(b!, { requestedAt: past + 1, assignees: ['bob'], groups: ['g'], workflowId: other }),
      approvalRow(a!, { requestedAt: past + 1, assignees: [], groups: ['g', 'h'] }),
      approvalRow(a!, { requestedAt: past + 3, namespace: 'elsewhere' }),
    ]
    const [first, second, third, elsewhere] = rows
    for (const [index, row] of rows.entries())
      await lane.flush([appendOf(row.executionId, index + 2, index + 2, opening(row))], false)
    const order = [first!.id, ...[second!.id, third!.id].sort().reverse()]
    const ids = async (...given: Parameters<typeof store.listApprovals>) => {
      const { items, nextCursor } = await store.listApprovals(...given)
      return { ids: items.map(({ id }) => id), nextCursor }
    }
    t.same((await ids({}, 10)).ids, order)
    t.same((await ids({ namespace: 'elsewhere' }, 10)).ids, [elsewhere!.id])
    t.same(
      (await ids({ assignee: 'bob' }, 10)).ids,
      order.filter((id) => id !== third!.id),
    )
    t.same((await ids({ group: 'g', workflowId: other }, 10)).ids, [second!.id])
    t.same((await ids({ executionId: b! }, 10)).ids, [second!.id])
    t.same((await ids({ status: 'approved' }, 10)).ids, [])
    const page = await ids({}, 2)
    t.same(page.ids, order.slice(0, 2))
    t.same(await ids({}, 2, page.nextCursor!), { ids: order.slice(2), nextCursor: null })
  },
}
