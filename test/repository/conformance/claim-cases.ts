import { v7 } from 'uuid'
import type { ClaimLimits } from '../../../src/repository/claim.ts'
import { classify } from '../../../src/repository/classify.ts'
import { registerTestNode } from '../../harness/rows.ts'
import type { ModelStore } from '../../simulation/model/store.ts'
import { all, type Cases, future, inserted, past } from './cases.ts'

const claim = async (store: ModelStore, node: string, limits: ClaimLimits = all): Promise<string[]> =>
  (await store.claim(node, limits)).map(({ executionId }) => executionId)

export const claimCases: Cases = {
  'what is due is claimed by priority and by how long it has been due; what is not due stays': async (t, { store }) => {
    const node = await registerTestNode(store)
    const [a, b, c, d, e] = await inserted(
      t,
      store,
      { status: 'pending', wakeAt: past + 3 },
      { status: 'waiting', wakeAt: past + 2 },
      { status: 'pending', wakeAt: past + 9, priority: 5 },
      { status: 'waiting', wakeAt: past + 1, priority: -1 },
      { status: 'pending', wakeAt: past + 1 },
      { status: 'waiting', wakeAt: future },
      { status: 'paused', wakeAt: null },
      { status: 'running', owner: node },
    )
    t.same(await claim(store, node, { ...all, limit: 1 }), [c])
    t.same(await claim(store, node), [e, b, a, d])
    t.same(await claim(store, node), [])
    t.equal((await store.findExecution(a!))!.owner, node)
  },

  'a step of priority is worth a minute, so nobody waits for ever': async (t, { store }) => {
    const node = await registerTestNode(store)
    const urgent = { status: 'pending', priority: 2 } as const
    const [older, first, second] = await inserted(
      t,
      store,
      { status: 'pending', wakeAt: past },
      { ...urgent, wakeAt: past + 119_000 },
      { ...urgent, wakeAt: past + 121_000 },
    )
    t.same(await claim(store, node, { ...all, limit: 1 }), [first])
    t.same(await claim(store, node), [older, second])
  },

  'what a node that is gone owned is claimed, and it is told from whom': async (t, { store }) => {
    const [node, alive, dead] = [await registerTestNode(store), await registerTestNode(store), v7()]
    const [, running, waiting] = await inserted(
      t,
      store,
      { owner: alive },
      { owner: dead, priority: 1 },
      { owner: dead, status: 'waiting', wakeAt: future },
    )
    t.same(await store.claim(node, { ...all, room: 0 }), [
      { executionId: running, from: dead },
      { executionId: waiting, from: dead },
    ])
  },

  'what an inbox addresses is claimed whatever its status, unless somebody has it': async (t, { store }) => {
    const [node, alive] = [await registerTestNode(store), await registerTestNode(store)]
    const ids = await inserted(
      t,
      store,
      { status: 'waiting' },
      { status: 'paused' },
      { status: 'completed' },
      { status: 'pending', wakeAt: future },
      { owner: alive },
    )
    for (const executionId of [...ids, ...ids]) {
      await store.insertInbox({ executionId, kind: 'signal', name: 'go', payload: null, requestId: v7(), at: past })
    }
    t.same((await claim(store, node, { ...all, room: 0 })).toSorted(), ids.slice(0, 4).toSorted())
  },

  'a claim keeps to the formats, the room and the limit': async (t, { store }) => {
    const node = await registerTestNode(store)
    const [newer, start, wake, later, orphan] = await inserted(
      t,
      store,
      { status: 'pending', wakeAt: past, format: 2 },
      { status: 'pending', wakeAt: past + 1 },
      { status: 'waiting', wakeAt: past + 2 },
      { status: 'pending', wakeAt: past + 3 },
      { owner: v7() },
    )
    t.same(await claim(store, node, { ...all, room: 0 }), [orphan], 'a full node takes over')
    t.same(await claim(store, node, { ...all, room: 2 }), [start, wake], 'both kinds share the room')
    t.same(await claim(store, node), [later])
    t.same(await claim(store, node, { ...all, formats: [1, 2] }), [newer])
  },

  'a node that is unknown, removed or expired claims nothing': async (t, { store }) => {
    const [removed, expired] = [await registerTestNode(store), await registerTestNode(store, { leaseMs: -1 })]
    await store.removeNode(removed)
    await inserted(t, store, { status: 'pending', wakeAt: past })
    for (const dead of [v7(), removed, expired]) t.same(await claim(store, dead), [])
  },

  'what another transaction holds is passed over': async (t, { store, hold }) => {
    const node = await registerTestNode(store)
    const [held, start, orphan] = await inserted(
      t,
      store,
      { status: 'pending', wakeAt: past },
      { status: 'pending', wakeAt: past + 1 },
      { owner: v7(), wakeAt: past + 2 },
    )
    const release = await hold({ table: 'execution', id: held! })
    const releaseOrphan = await hold({ table: 'execution', id: orphan! })
    t.same(await claim(store, node, { ...all, limit: 1 }), [start])
    t.same(await claim(store, node), [])
    await release()
    await releaseOrphan()
    t.same(await claim(store, node), [held, orphan])
  },

  'nodes that claim at once share the work': async (t, { store }) => {
    const given = Array.from({ length: 30 }, () => ({ status: 'pending', wakeAt: past }) as const)
    const ids = await inserted(t, store, ...given)
    const nodes = [await registerTestNode(store), await registerTestNode(store), await registerTestNode(store)]
    const claimed: string[] = []
    while (claimed.length < ids.length) {
      const batches = await Promise.all(nodes.map((node) => claim(store, node, { ...all, limit: 4 })))
      claimed.push(...batches.flat())
    }
    t.same(claimed.toSorted(), ids.toSorted())
  },

  'a claim that commits after its connection broke is found by whoever asks later': async (t, { store, cutOff }) => {
    const node = await registerTestNode(store)
    const [id] = await inserted(t, store, { status: 'pending', wakeAt: past })
    const late = await cutOff({ table: 'node', id: node }, (severed) => severed.claim(node, all))
    t.equal(classify(late.error), 'retry')
    t.same(await store.findOwned(node), [])
    await late.commit()
    t.same(await store.findOwned(node), [id])
    t.same(await claim(store, await registerTestNode(store)), [])
  },
}
