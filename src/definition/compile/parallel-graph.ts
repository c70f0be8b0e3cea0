import type { Fault } from '../plan.ts'
import { DependencyGraph } from './dependency-graph.ts'
import type { Draft } from './draft.ts'

/** Which child of a parallel waits for which. */
export interface ParallelGraph extends DependencyGraph {
  positionOf(child: Draft): number
}

/** The graph of a parallel's children, and the faults of what they name. */
export function graphOf(
  parallel: Draft,
  drafts: ReadonlyMap<string, Draft>,
): { graph: ParallelGraph; faults: Fault[] } {
  const faults: Fault[] = []
  const { children } = parallel
  const index = new Map(children.map((child, position) => [child, position]))
  const dependencies = children.map((child, own) =>
    child.dependencies.flatMap(({ stepId, pointer }) => {
      const named = drafts.get(stepId)
      if (!named) return [] // Reported with all unknown steps.
      const position = index.get(named)
      if (position === own) faults.push({ pointer, message: 'A step cannot depend on itself' })
      else if (position === undefined)
        faults.push({ pointer, message: `Within a parallel, dependencies name siblings; "${stepId}" is none` })
      return position === undefined || position === own ? [] : [position]
    }),
  )
  const graph = new DependencyGraph(dependencies)
  for (const cycle of graph.cycles) {
    const first = cycle.indexOf(Math.min(...cycle))
    const ring = [...cycle.slice(first), ...cycle.slice(0, first + 1)].map((position) => children[position] as Draft)
    const message = `The dependencies go in a circle: ${shown(ring)}; leave one of them out`
    faults.push({ pointer: `${ring[0]?.pointer}/dependencies`, message })
  }
  return { graph: Object.assign(graph, { positionOf: (child: Draft) => index.get(child) as number }), faults }
}

/** A long circle is told by its beginning and its end. */
function shown(ring: readonly Draft[]): string {
  const ids = ring.map(({ id }) => id)
  return (ids.length > 12 ? [...ids.slice(0, 10), '…', ...ids.slice(-2)] : ids).join(' → ')
}
