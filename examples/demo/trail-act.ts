import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { styleText } from 'node:util'
import type { CairnClient, JournalEvent } from '../client/client.ts'
import { watch } from '../client/watch.ts'
import { trail } from './definitions.ts'
import { heading, say, table } from './narration.ts'

const pauseAfter = 'cairn-3'
const stillMs = 1_500
const rollBackTo = 3

/** Pauses a longer run, looks whether it stands still, and resumes it; answers with its id. */
export async function pauseAndResume(client: CairnClient): Promise<string> {
  heading('Pause and resume')
  const workflow = await client.publish(trail)
  const { id } = await client.start(workflow.id, { triggeredBy: 'npm run demo' })
  say(`${workflow.name}, version ${workflow.version}, execution ${id}`)
  const events = await watch(client.url, id, {
    async onEvent({ type, path }, note) {
      if (type === 'step.completed' && path === pauseAfter) await client.control(id, 'pause', 'to have a look around')
      if (type === 'execution.paused') {
        note(await standStill(client, id))
        await client.control(id, 'resume')
      }
    },
  })
  const types = events.map(({ type }) => type)
  const paused = types.indexOf('execution.paused')
  assert.ok(paused > 0, 'It was never paused')
  assert.equal(types[paused + 1], 'execution.resumed', 'Something happened while it was paused')
  assert.equal(types.at(-1), 'execution.completed', 'It did not complete')
  assert.ok(
    [...countsOf(events).values()].every((count) => count === 1),
    'A step was performed twice',
  )
  return id
}

async function standStill(client: CairnClient, executionId: string): Promise<string> {
  const before = await client.progress(executionId)
  await delay(stillMs)
  const after = await client.progress(executionId)
  assert.equal(after.status, 'paused', `It is ${after.status} and not paused`)
  assert.equal(after.lastSeq, before.lastSeq, 'It did not stand still')
  const { completedSteps, totalSteps, lastSeq } = after
  return `  ${stillMs / 1000} s later it stands still: ${completedSteps} of ${totalSteps} steps, last event ${lastSeq}`
}

/** Rolls the finished run back to a checkpoint and lets it walk on from there. */
export async function rollBack(client: CairnClient, executionId: string): Promise<void> {
  heading(`Roll back to checkpoint ${rollBackTo}`)
  const checkpoints = await client.checkpoints(executionId)
  table([['checkpoint', 'seq', 'after'], ...checkpoints.map(({ index, seq, stepPath }) => [index, seq, stepPath])])
  const target = checkpoints.find(({ index }) => index === rollBackTo)
  assert.ok(target, `There is no checkpoint ${rollBackTo}`)

  const { lastSeq } = await client.execution(executionId)
  const rolledBack = await client.rollback(executionId, { checkpointIndex: rollBackTo, seq: lastSeq })
  assert.equal(rolledBack.status, 'paused', `After the rollback it is ${rolledBack.status}`)
  say(`It was completed; now it is ${rolledBack.status} at ${rolledBack.percentage} %. Resuming …`)
  await client.control(executionId, 'resume')
  await watch(client.url, executionId, { after: lastSeq })

  const journal = await client.events(executionId)
  const fact = journal[lastSeq]
  assert.equal(fact?.type, 'execution.rolled_back', 'The journal does not tell of the rollback')
  assert.equal(fact.data.toSeq, target.seq, 'It went back to another place')
  for (const { index, stepPath } of checkpoints) {
    const times = index <= rollBackTo ? 1 : 2
    assert.equal(countsOf(journal).get(stepPath), times, `${stepPath} was not performed ${times} times`)
  }
  assert.equal((await client.execution(executionId)).status, 'completed', 'It did not complete again')
  say('The journal keeps both generations:')
  table([['seq', 'generation', 'event', ''], ...generationsOf(journal, target.seq)])
}

/** How often each step was completed. */
function countsOf(events: readonly JournalEvent[]): Map<string, number> {
  const completed = events.filter(({ type }) => type === 'step.completed')
  return new Map(
    Array.from(
      Map.groupBy(completed, ({ path = '' }) => path),
      ([path, all]) => [path, all.length],
    ),
  )
}

/** The journal from the checkpoint on: what the rollback superseded, itself, and what came instead. */
function generationsOf(journal: readonly JournalEvent[], toSeq: number): unknown[][] {
  let generation = 0
  const rolledBackAt = journal.find(({ type }) => type === 'execution.rolled_back')?.seq ?? 0
  return journal
    .filter(({ seq, type }) => seq >= toSeq && type !== 'step.entered')
    .map(({ seq, type, path = '', data }) => {
      if (type === 'execution.rolled_back') generation = Number(data.generation)
      const superseded = seq > toSeq && seq < rolledBackAt
      return [seq, generation, `${type} ${path}`.trimEnd(), superseded ? styleText('dim', 'superseded') : '']
    })
}
