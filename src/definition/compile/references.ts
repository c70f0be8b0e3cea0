import { didYouMean } from '../nearest.ts'
import type { Compilation, Draft, Reference } from './draft.ts'
import { graphOf, type ParallelGraph } from './parallel-graph.ts'

/** Guesses are made for so many unknown names; with more of them something else is wrong. */
const MAX_GUESSES = 20

type Graphs = ReadonlyMap<Draft, ParallelGraph>

/** Checks that every step that a step names exists and can have ended before; hands the graphs of parallels to their plans. */
export function checkReferences(root: Draft, outputReferences: readonly Reference[], all: Compilation): void {
  const drafts = [...descendants(root)]
  const graphs = new Map<Draft, ParallelGraph>()
  for (const draft of drafts) {
    if (draft.plan.type !== 'parallel') continue
    const { graph, faults } = graphOf(draft, all.drafts)
    graphs.set(draft, graph)
    all.faults.push(...faults)
    draft.plan.dependants = graph.dependants
  }
  const unknown = unknownSteps(all)
  for (const draft of drafts) {
    for (const reference of draft.references) {
      const named = all.drafts.get(reference.stepId)
      const fault = named ? notBefore(draft, named, graphs, reference.isLate) : unknown(reference.stepId)
      if (fault) all.faults.push({ pointer: reference.pointer, message: fault })
    }
    for (const dependency of draft.dependencies) {
      const named = all.drafts.get(dependency.stepId)
      // Siblings in a parallel have been looked at with their graph.
      const fault = !named
        ? unknown(dependency.stepId)
        : draft.parent?.plan.type === 'parallel'
          ? null
          : notBefore(draft, named, graphs)
      if (fault) all.faults.push({ pointer: dependency.pointer, message: fault })
    }
  }
  for (const { stepId, pointer } of outputReferences) {
    const named = all.drafts.get(stepId)
    const loop = named ? loopAround(named, root) : null
    if (named && aftermathAround(named)) all.faults.push({ pointer, message: inAftermath(`Step "${stepId}"`) })
    else if (!named) all.faults.push({ pointer, message: unknown(stepId) })
    else if (loop !== null) all.faults.push({ pointer, message: inLoop(`Step "${stepId}"`, loop) })
  }
}

function* descendants(draft: Draft): Generator<Draft> {
  const stack = [draft]
  for (let next = stack.pop(); next; next = stack.pop()) {
    yield next
    stack.push(...next.children, ...next.aftermath)
  }
}

function unknownSteps(all: Compilation): (stepId: string) => string {
  let guesses = 0
  return (stepId) => {
    const hint = guesses++ < MAX_GUESSES ? didYouMean(stepId, all.drafts.keys()) : ''
    return `There is no step "${stepId}".${hint}`
  }
}

/** Why the named step cannot have ended when the reader begins (`isLate`: ends), or null when it can. */
function notBefore(reader: Draft, named: Draft, graphs: Graphs, isLate = false): string | null {
  const id = `Step "${named.id}"`
  if (reader === named) return 'A step cannot name itself: it has no result before it has run'
  const [own, other] = [aftermathAround(reader), aftermathAround(named)]
  if (other !== null && other !== own) return inAftermath(id)
  if (own !== null && other === null) {
    const loop = loopAround(named, null)
    return loop === null ? null : inLoop(id, loop)
  }
  let [ours, theirs] = [reader, named]
  while (ours.depth > theirs.depth) ours = ours.parent as Draft
  if (ours === theirs) return `${id} contains this step, so it ends after it`
  while (theirs.depth > ours.depth) theirs = theirs.parent as Draft
  if (ours === theirs) {
    const loop = isLate ? loopAround(named, reader) : null
    if (loop !== null) return `${id} runs once an iteration of "${loop.id}"; here only data can be read`
    return isLate ? null : `${id} stands within this step, so it runs after this is evaluated`
  }
  while (ours.parent !== theirs.parent) {
    ours = ours.parent as Draft
    theirs = theirs.parent as Draft
  }
  const common = ours.parent as Draft
  const loop = loopAround(named, common)
  if (loop !== null) return inLoop(id, loop)
  if (common.plan.type === 'try') return besideInTry(ours, theirs, id)
  if (common.plan.type === 'switch') return `${id} stands in another case, which need not run before this one`
  if (common.plan.type === 'race') return `${id} stands in another branch, of which only one goes on`
  if (ours.list !== theirs.list) return `${id} stands in the other branch, of which only one runs`
  if (common.plan.type !== 'parallel') {
    return ours.position > theirs.position ? null : `${id} comes after this step; only what comes before has a result`
  }
  return besideInParallel(ours, theirs, reader, id, graphs.get(common) as ParallelGraph)
}

/** The compensation or onFailure that a step stands in. It runs when the flow is over, so it sees all of that. */
function aftermathAround(draft: Draft): Draft | null {
  for (let body: Draft | null = draft; body?.plan.isAftermath; body = body.parent)
    if (body.plan.type === 'sequential' && body.plan.body?.isAftermath) return body
  return null
}

const inAftermath = (id: string): string => `${id} runs only when what it stands in is over; nothing else can read it`

/** The outermost loop below `around` that the step stands in: it has an instance an iteration there, and no name outside. */
function loopAround(named: Draft, around: Draft | null): Draft | null {
  let loop: Draft | null = null
  for (let draft = named; draft !== around && draft.parent !== null; draft = draft.parent) {
    if (draft.plan.type === 'sequential' && draft.plan.body?.label === null) loop = draft.parent
  }
  return loop
}

const inLoop = (id: string, loop: Draft): string =>
  `${id} runs once an iteration of "${loop.id}"; outside it only steps['${loop.id}'].output can be read`

/** A catch and `finally` see what of the steps before them was completed; catches do not see each other. */
function besideInTry(ours: Draft, theirs: Draft, id: string): string | null {
  if (ours.list === 'catch' && theirs.list === 'catch') return `${id} stands in another catch, of which only one runs`
  return ours.position > theirs.position ? null : `${id} comes after this step; only what comes before has a result`
}

function besideInParallel(ours: Draft, theirs: Draft, reader: Draft, id: string, graph: ParallelGraph): string | null {
  const [own, other] = [graph.positionOf(ours), graph.positionOf(theirs)]
  if (graph.waitsFor(own, other)) return null
  const who = ours === reader ? 'this step' : `"${ours.id}"`
  if (graph.waitsFor(other, own)) return `${id} runs after ${who}, since "${theirs.id}" depends on it`
  return `${id} runs beside ${who}: name "${theirs.id}" in the dependencies of ${who}`
}
