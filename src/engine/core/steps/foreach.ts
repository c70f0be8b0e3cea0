import { kindOf } from '../../../definition/expression/value.ts'
import type { Json, JsonObject } from '../../../definition/json.ts'
import type { ForeachPlan, Plan, StepPlan } from '../../../definition/plan.ts'
import { addProgress, addRemainder } from '../counting.ts'
import { outputOf } from '../data.ts'
import type { ExecutionError, Fact } from '../event.ts'
import { letRunOn, restEnded } from '../rest.ts'
import { bodyPath, type ExecutionState, type Frame, labelOf, type StepState } from '../state.ts'
import type { Turn } from '../turn.ts'
import type { Deciding, Instance } from './behaviour.ts'
import { type Arrived, decideJoin, isReached, joinNotReached } from './join.ts'
import { askToDecide, cancel, complete, fail, failure, forget, reach, restart as restartStep } from './step.ts'
import { listen, listenNoMore, lookAgain } from './waiters.ts'

type Each = Extract<Frame, { type: 'each' }>

/** Pages of one step: more are a `next` that never ends. */
const MAX_PAGES = 1_000_000

export function begin(turn: Turn, plan: ForeachPlan, step: StepState): void {
  step.entered = true
  if (plan.page === null) askToDecide(turn, step)
  else launch(turn, plan, step, open(plan, step, []))
}

export const isUndecided = (step: StepState): boolean => step.deciding === true

/** At first the items; then whether a condition joins what has arrived, and of a list that grows what signals have added. */
export function decide(place: Deciding): Fact {
  const { stepPlan, state, step, scope } = place
  const { items: template } = stepPlan as ForeachPlan
  const { path } = step
  if (step.frame !== undefined) return { type: 'step.decided', path, data: news(place, stepPlan as ForeachPlan, state) }
  const items = template!.render(scope)
  if (Array.isArray(items)) return { type: 'step.decided', path, data: { items } }
  return failure(path, 'ValidationError', `items must be a list, and is ${kindOf(items)}`)
}

function news(place: Deciding, plan: ForeachPlan, state: ExecutionState): JsonObject {
  const frame = place.step.frame as Each
  const signals = plan.grow === null ? {} : added(state, plan.grow)
  if (!isAsked(plan) || frame.ended === 0) return signals
  const data = output(place.plan, plan, state, place.step)
  return { ...signals, ...decideJoin(place, plan.join, data, arrivedAt(frame), frame.ended) }
}

const isAsked = ({ join }: ForeachPlan): boolean => join !== null && typeof join !== 'number'

const arrivedAt = ({ ended, failed, total }: Each): Arrived => ({ completed: ended - failed, failed, total })

/** The signals that add an item, until one that says that it was the last. */
function added({ mailbox }: ExecutionState, grow: NonNullable<ForeachPlan['grow']>): JsonObject {
  const end = mailbox.findIndex(({ name }) => name === grow.end)
  const before = end < 0 ? mailbox : mailbox.slice(0, end)
  const signals = before.filter(({ name }) => name === grow.signal).map(({ id }) => id)
  return { signals, end: mailbox[end]?.id ?? null }
}

export function decided(turn: Turn, plan: ForeachPlan, step: StepState, data: JsonObject): void {
  if (step.frame !== undefined) return learned(turn, plan, step, data)
  const frame = open(plan, step, data.items as Json[])
  if (frame.total === 0 && frame.growth === undefined) addProgress(turn.state, plan.weight)
  if (plan.grow !== null) {
    listen(turn, step)
    // What came before it began counts too.
    askToDecide(turn, step)
  }
  launch(turn, plan, step, frame)
}

/** Once it has joined, nothing is added any more. */
function learned(turn: Turn, plan: ForeachPlan, step: StepState, data: JsonObject): void {
  const frame = step.frame as Each
  if (data.joined === true) return joined(turn, plan, step, frame)
  if (plan.grow !== null) grown(turn, plan, step, data)
  // More have ended while it was asked.
  if (isAsked(plan) && frame.ended > Number(data.ended ?? 0) && !step.deciding) askToDecide(turn, step)
  launch(turn, plan, step, frame)
}

function open(plan: ForeachPlan, step: StepState, items: Json[]): Each {
  const outputs = plan.collect === 'outputs' ? items.map(() => null) : []
  const frame: Each = { type: 'each', items, total: items.length, next: 0, active: [], ended: 0, failed: 0, outputs }
  step.frame = frame
  if (plan.page === null && plan.grow === null) return frame
  // The event's own list must stay as it is.
  frame.items = [...items]
  const isOpen = plan.page !== null || plan.grow?.end !== null
  frame.growth = { open: isOpen, offset: 0, pages: 0, isPaging: false, cursor: null, counted: 0, goal: 0 }
  setGoal(plan, frame.growth)
  return frame
}

/** Of two that looked at once into the mailbox the first has what was there. */
function grown(turn: Turn, plan: ForeachPlan, step: StepState, { signals, end }: JsonObject): void {
  const { state } = turn
  const frame = step.frame as Each
  const taken = new Set<Json>([...(signals as string[]), end!])
  const there = state.mailbox.filter(({ id }) => taken.has(id))
  state.mailbox = state.mailbox.filter(({ id }) => !taken.has(id))
  if (there.some(({ id }) => id === end)) {
    frame.growth!.open = false
    listenNoMore(turn, step)
  }
  const items = there.filter(({ id }) => id !== end)
  add(
    plan,
    frame,
    items.map(({ payload }) => payload),
  )
  for (const name of new Set(there.map((signal) => signal.name))) lookAgain(turn, name)
}

function add(plan: ForeachPlan, frame: Each, items: readonly Json[]): void {
  for (const item of items) {
    frame.items.push(item)
    frame.total += 1
    if (plan.collect === 'outputs') frame.outputs.push(null)
  }
  setGoal(plan, frame.growth!)
}

/** As long as nobody knows how much more there is, what is known counts for half of what is left. */
function setGoal({ weight }: ForeachPlan, growth: NonNullable<Each['growth']>): void {
  growth.goal = growth.open ? growth.counted + (weight - growth.counted) / 2 : weight
}

/** Begins items while there is room, and a page when there are none left; the step is complete when all have ended. */
function launch(turn: Turn, plan: ForeachPlan, step: StepState, frame: Each): void {
  const goesOn = (): boolean => step.status === 'running' || step.runsOn === true
  while (goesOn() && frame.active.length < plan.concurrency && frame.next < frame.total) {
    const index = frame.next++
    frame.active.push(index)
    reach(turn, plan.body, bodyPath(step.path, index), step.data)
  }
  if (!goesOn()) return
  const { growth } = frame
  if (growth?.open && plan.page !== null && !growth.isPaging && frame.next === frame.total) fetchPage(turn, plan, step)
  if (frame.ended < frame.total || growth?.open) return
  if (step.runsOn) {
    frame.items = []
    // Its `output` may be asked for still: that concerns only what was there when it joined.
    return restEnded(turn, step)
  }
  if (step.deciding) return
  if (plan.join !== null) return fail(turn, plan, step, joinNotReached(plan.join, arrivedAt(frame), 'items', step.path))
  frame.items = []
  if (growth !== undefined) addProgress(turn.state, plan.weight - growth.counted)
  complete(turn, plan, step)
}

/** Enough are completed: the rest is cancelled, or runs on. Its output is what there is now. */
function joined(turn: Turn, plan: ForeachPlan, step: StepState, frame: Each): void {
  frame.joined = frame.ended
  if (frame.growth !== undefined) stopGrowing(turn, plan, step, frame.growth)
  if (plan.rest === 'continue' && frame.ended < frame.total) {
    letRunOn(turn, step)
    launch(turn, plan, step, frame)
  } else {
    for (const inside of instances(plan, step)) cancel(turn, inside.plan, inside.path)
    addRemainder(turn.state, plan, step.path)
    frame.items = []
  }
  complete(turn, plan, step)
}

/** A page that is under way is given up, and signals add nothing any more. */
function stopGrowing(turn: Turn, plan: ForeachPlan, step: StepState, growth: NonNullable<Each['growth']>): void {
  if (growth.isPaging) cancel(turn, plan.page!, pagePath(step))
  growth.isPaging = false
  growth.open = false
  setGoal(plan, growth)
  listenNoMore(turn, step)
}

function fetchPage(turn: Turn, plan: ForeachPlan, step: StepState): void {
  const growth = (step.frame as Each).growth!
  growth.isPaging = true
  growth.pages += 1
  reach(turn, plan.page!, pagePath(step), step.data)
}

const pagePath = ({ path, frame }: StepState): string => bodyPath(path, `page${(frame as Each).growth!.pages - 1}`)

/** Its items take the place of those that have ended. */
function pageEnded(turn: Turn, plan: ForeachPlan, step: StepState, page: StepState): void {
  const frame = step.frame as Each
  const growth = frame.growth!
  if (page.status === 'failed') return failAll(turn, plan, step, page.error!)
  const { items, next = null } = (outputOf(turn.plan, turn.state, page) ?? {}) as { items?: Json; next?: Json }
  if (!Array.isArray(items)) return failAll(turn, plan, step, badPage(step))
  if (next !== null && growth.pages >= MAX_PAGES) return failAll(turn, plan, step, tooManyPages(step))
  forget(turn, plan.page!, page.path)
  growth.isPaging = false
  growth.open = next !== null
  growth.cursor = next
  const oldest = Math.min(frame.next, ...frame.active)
  frame.items.splice(0, oldest - growth.offset)
  growth.offset = oldest
  add(plan, frame, items)
  launch(turn, plan, step, frame)
}

const badPage = ({ path }: StepState): ExecutionError => ({
  type: 'ValidationError',
  message: 'the output of page must be {items, next}, with a list of items',
  stepPath: path,
  retryable: false,
})

const tooManyPages = ({ path }: StepState): ExecutionError => ({
  type: 'LoopLimitExceeded',
  message: `the step wants more than ${MAX_PAGES} pages`,
  stepPath: path,
  retryable: false,
})

function failAll(turn: Turn, plan: ForeachPlan, step: StepState, error: ExecutionError): void {
  for (const inside of instances(plan, step)) cancel(turn, inside.plan, inside.path)
  fail(turn, plan, step, error)
}

/** An item that has ended leaves the state; only what `collect` wants of it stays. */
export function childEnded(turn: Turn, plan: ForeachPlan, step: StepState, body: StepPlan, child: StepState): void {
  if (body === plan.page) return pageEnded(turn, plan, step, child)
  const frame = step.frame as Each
  const index = Number(labelOf(child.path))
  if (step.runsOn) {
    // Nobody asks any more what it came to.
  } else if (child.status === 'failed') {
    if (!isTolerated(plan, frame)) return failAll(turn, plan, step, child.error!)
    frame.failed += 1
    if (plan.collect === 'errors') frame.outputs.push({ index, error: child.error as unknown as Json })
  } else if (plan.collect === 'outputs') {
    frame.outputs[index] = outputOf(turn.plan, turn.state, child) ?? null
  }
  frame.active.splice(frame.active.indexOf(index), 1)
  count(turn, plan, frame)
  frame.ended += 1
  forget(turn, plan.body, child.path)
  if (!step.runsOn && isReached(plan.join, frame.ended - frame.failed)) return joined(turn, plan, step, frame)
  if (!step.runsOn && isAsked(plan) && !step.deciding) askToDecide(turn, step)
  launch(turn, plan, step, frame)
}

/** One more item has ended. */
function count(turn: Turn, plan: ForeachPlan, { growth, total, ended }: Each): void {
  if (growth === undefined) return addProgress(turn.state, plan.weight / total)
  const share = (growth.goal - growth.counted) / (total - ended)
  growth.counted += share
  addProgress(turn.state, share)
}

/** Whether one more failure is within what the step bears. */
function isTolerated({ tolerate }: ForeachPlan, { failed, total }: Each): boolean {
  return failed + 1 <= ('count' in tolerate ? tolerate.count : tolerate.share * total)
}

/** What was under way begins again, what failed among it. */
export function restart(turn: Turn, plan: ForeachPlan, step: StepState): void {
  const frame = step.frame as Each
  for (const { plan: body, path } of instances(plan, step)) restartStep(turn, body, path)
  if (step.status !== 'running') return
  const isListening = plan.grow !== null && (plan.grow.end === null || frame.growth!.open)
  if (isListening) listen(turn, step)
  if (isListening || isAsked(plan)) askToDecide(turn, step)
  launch(turn, plan, step, frame)
}

export function instances(plan: ForeachPlan, step: StepState): Instance[] {
  if (step.frame?.type !== 'each') return []
  const { active, growth } = step.frame
  const items = active.map((index) => ({ plan: plan.body, path: bodyPath(step.path, index) }))
  return growth?.isPaging ? [...items, { plan: plan.page!, path: pagePath(step) }] : items
}

export function output(_: Plan, plan: ForeachPlan, _state: ExecutionState, step: StepState): Json {
  const { outputs, total, failed, ended, joined = ended } = step.frame as Each
  return plan.collect === 'none' ? { total, completed: joined - failed, failed } : outputs
}

export function local(plan: ForeachPlan, step: StepState, label: string, name: string): Json | undefined {
  const { items, growth } = step.frame as Each
  if (name === 'cursor' && label.startsWith('page')) return growth?.cursor
  return name === plan.as ? items[Number(label) - (growth?.offset ?? 0)] : Number(label)
}
