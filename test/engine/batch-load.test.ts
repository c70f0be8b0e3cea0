import { randomBytes, randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Json } from '../../src/definition/json.ts'
import { type BatchLoadOptions, type LoadOutcome, loadMany } from '../../src/engine/batch-load.ts'
import { SystemClock } from '../../src/engine/clock.ts'
import { snapshotOf } from '../../src/engine/core/snapshot.ts'
import type { LoadedExecution } from '../../src/engine/history.ts'
import { CairnError } from '../../src/errors.ts'
import { registerTestNode } from '../harness/rows.ts'
import { openHistory, openRecorder, type Recorder, sequence } from './recorder.ts'

const steps = Array.from({ length: 40 }, (_, i) => `s${i}`)

async function begin(recorder: Recorder, count: number, input?: (index: number) => Json): Promise<string[]> {
  const ids: string[] = []
  for (let index = 0; index < count; index += 1) ids.push(await recorder.begin(input?.(index)))
  return ids
}

/** Makes a new node the owner of these executions: it claims them for what lies in their inboxes. */
async function own(recorder: Recorder, executionIds: readonly string[]): Promise<string> {
  const { store } = recorder
  const node = await registerTestNode(store)
  for (const executionId of executionIds) {
    await store.insertInbox({ executionId, kind: 'signal', name: 'go', payload: null, requestId: randomUUID(), at: 1 })
  }
  const claimed = await store.claim(node, { limit: executionIds.length, room: 0, formats: [1] })
  if (claimed.length !== executionIds.length) throw new Error(`${claimed.length} of ${executionIds.length} are owned`)
  return node
}

/** Keeps the state as it is now, as an executor would. */
async function keepSnapshot(recorder: Recorder, executionId: string, through?: number): Promise<void> {
  const { state } = await openHistory(recorder).load(executionId, through)
  const image = snapshotOf(state) as unknown as Json
  await recorder.store.insertSnapshot({ executionId, seq: state.seq, at: state.at, state: image, createdAt: 1 })
}

/** Loads all and counts the queries. */
async function load(
  recorder: Recorder,
  node: string,
  executionIds: readonly string[],
  options: Partial<BatchLoadOptions> = {},
): Promise<{ outcomes: LoadOutcome[]; portions: number; queries: string[] }> {
  const queries: string[] = []
  const store = new Proxy(recorder.store, {
    get: (target, name: keyof BatchLoadOptions['store']) => {
      queries.push(name)
      return target[name]
    },
  })
  const plans = { get: async () => recorder.plan }
  const history = openHistory(recorder)
  const outcomes: LoadOutcome[] = []
  let portions = 0
  for await (const portion of loadMany(
    { store, plans, history, clock: new SystemClock(), node, ...options },
    executionIds,
  )) {
    outcomes.push(...portion)
    portions += 1
  }
  return { outcomes, portions, queries }
}

const loadedIn = (outcomes: readonly LoadOutcome[]): Map<string, LoadedExecution> =>
  new Map(outcomes.flatMap((outcome) => (outcome.type === 'loaded' ? [[outcome.executionId, outcome.execution]] : [])))

async function sameAsAlone(t: Test, recorder: Recorder, executionId: string, execution: LoadedExecution | undefined) {
  const alone = await openHistory(recorder).load(executionId)
  t.same(execution?.state, alone.state)
  t.same(execution?.row, alone.row)
  t.equal(execution?.bytes, alone.bytes)
}

t.test('many executions fold to what each folds to alone, whatever their histories hold', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const history = openHistory(recorder)
  const ids = await begin(recorder, 8, (number) => ({ number }))
  const [fresh, long, kept, back, backBeforeSnapshot, backAfterSnapshot, twice, quarantined] = ids as [
    ...[string, string, string, string],
    ...[string, string, string, string],
  ]
  for (const id of [long, kept, back, backBeforeSnapshot, backAfterSnapshot, twice])
    await recorder.complete(id, steps.slice(0, 20))
  await keepSnapshot(recorder, kept)
  await recorder.complete(kept, steps.slice(20, 25))
  await recorder.rollBack(back, history, 3, 5)
  await keepSnapshot(recorder, backBeforeSnapshot)
  await recorder.rollBack(backBeforeSnapshot, history, 3, 5)
  await recorder.complete(backBeforeSnapshot, steps.slice(4, 8))
  await keepSnapshot(recorder, backAfterSnapshot, 7)
  await keepSnapshot(recorder, backAfterSnapshot)
  await recorder.rollBack(backAfterSnapshot, history, 9, 11)
  await recorder.rollBack(twice, history, 12, 14)
  await recorder.complete(twice, steps.slice(13, 15))
  await keepSnapshot(recorder, twice)
  await recorder.rollBack(twice, history, 1, 3)
  await recorder.complete(twice, steps.slice(2, 6))
  const error = { type: 'CrashLoop', message: 'five times' }
  await recorder.record(quarantined, { type: 'execution.quarantined', data: { error } })

  const node = await own(recorder, ids)
  const { outcomes } = await load(recorder, node, ids)
  t.equal(outcomes.length, ids.length)
  const loaded = loadedIn(outcomes)
  for (const id of ids) await sameAsAlone(t, recorder, id, loaded.get(id))
  t.match(loaded.get(fresh)?.state, { input: { number: 0 }, seq: 1 })
  t.match(loaded.get(quarantined)?.state, { status: 'failed', error })
})

t.test('the number of queries does not depend on the number of executions', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const ids = await begin(recorder, 60)
  for (const id of ids) await recorder.complete(id, steps.slice(0, 5))
  const node = await own(recorder, ids)
  const { outcomes, queries } = await load(recorder, node, ids)
  t.equal(loadedIn(outcomes).size, 60)
  t.same(queries, ['ownedRows', 'rollbacksOfMany', 'newestSnapshots', 'eventsOfMany'])
})

t.test('long histories are read in pages while the short ones go ahead', async (t) => {
  const many = Array.from({ length: 3_000 }, (_, i) => `m${i}`)
  const recorder = await openRecorder(t, sequence(many))
  const [long, short] = [await recorder.begin(), await recorder.begin()]
  await recorder.complete(long, many)
  const node = await own(recorder, [long, short])
  const { outcomes, portions, queries } = await load(recorder, node, [long, short])
  t.same(
    outcomes.map((outcome) => outcome.executionId),
    [short, long],
  )
  t.equal(portions, 2)
  t.ok(queries.filter((name) => name === 'eventsOfMany').length > 1)
  await sameAsAlone(t, recorder, long, loadedIn(outcomes).get(long))
})

t.test('executions that are large together enter memory one after another', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const large = (bytes: number): string => randomBytes(bytes).toString('base64')
  const inputs = await begin(recorder, 4, () => large(1_000_000))
  const outputs = await begin(recorder, 4)
  for (const id of outputs) await recorder.complete(id, ['s0'], large(1_000_000))
  const snapshots = await begin(recorder, 4)
  for (const id of snapshots) {
    await recorder.complete(id, ['s0', 's1'], large(800_000))
    await keepSnapshot(recorder, id)
    await recorder.complete(id, ['s2'])
  }
  const ids = [...inputs, ...outputs, ...snapshots]
  const node = await own(recorder, ids)
  const { outcomes, portions } = await load(recorder, node, ids)
  const loaded = loadedIn(outcomes)
  t.equal(loaded.size, ids.length)
  for (const id of ids) await sameAsAlone(t, recorder, id, loaded.get(id))
  t.ok(portions >= 4, `${portions} portions`)
})

t.test('what cannot be read is told of, and the others are loaded all the same', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const ids = await begin(recorder, 6)
  const [noVersion, garbled, notASnapshot, foreign, ...healthy] = ids as [string, string, string, string, string]
  for (const id of ids) {
    const { at } = (await recorder.complete(id, ['s0']))[0]!
    const noState = { executionId: id, seq: 2, at, state: { steps: [] }, createdAt: 1 }
    if (id === notASnapshot) await recorder.store.insertSnapshot(noState)
  }
  const node = await own(recorder, [noVersion, garbled, notASnapshot, ...healthy])
  let asked = 0
  const { outcomes } = await load(recorder, node, [noVersion, garbled, notASnapshot, foreign, ...healthy], {
    plans: {
      async get() {
        asked += 1
        if (asked === 1) throw new CairnError('VERSION_NOT_FOUND', ['w', 1])
        return asked === 2 ? sequence(['another']) : recorder.plan
      },
    },
  })
  const byId = new Map(outcomes.map((outcome) => [outcome.executionId, outcome]))
  t.match(byId.get(noVersion), { type: 'unreadable', row: { id: noVersion }, error: { code: 'VERSION_NOT_FOUND' } })
  t.match(byId.get(garbled), { type: 'unreadable', row: { id: garbled }, error: { code: 'HISTORY_INVALID' } })
  t.match(byId.get(notASnapshot), { type: 'loaded' }, 'a snapshot is a cache: the journal says the same')
  t.match(byId.get(foreign), { type: 'not_owned' })
  for (const id of healthy) t.match(byId.get(id), { type: 'loaded' })
})

t.test('that the database does not answer concerns the whole batch', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const ids = [await recorder.begin(), await recorder.begin()]
  const node = await own(recorder, ids)
  const get = () => Promise.reject(new CairnError('DATABASE_UNAVAILABLE'))
  await t.rejects(load(recorder, node, ids, { plans: { get } }), { code: 'DATABASE_UNAVAILABLE' })
})

t.test('what is compacted away while it is read is read again', async (t) => {
  const recorder = await openRecorder(t, sequence(steps))
  const [executionId, other] = [await recorder.begin(), await recorder.begin()]
  await recorder.complete(executionId, steps.slice(0, 10))
  const node = await own(recorder, [executionId, other])
  let isCompacted = false
  const store: BatchLoadOptions['store'] = {
    ...recorder.store,
    async eventsOfMany(...call) {
      // The snapshot comes after this reader has looked for one; the events that it replaces are gone when he asks for them.
      if (!isCompacted) await keepSnapshot(recorder, executionId, 6)
      isCompacted = true
      const { items, isCut } = await recorder.store.eventsOfMany(...call)
      return { items: items.filter((event) => event.executionId !== executionId || event.seq > 6), isCut }
    },
  }
  const { outcomes } = await load(recorder, node, [executionId, other], { store })
  const loaded = loadedIn(outcomes)
  await sameAsAlone(t, recorder, executionId, loaded.get(executionId))
  await sameAsAlone(t, recorder, other, loaded.get(other))
})
