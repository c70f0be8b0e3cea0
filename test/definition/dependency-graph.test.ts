import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { DependencyGraph } from '../../src/definition/compile/dependency-graph.ts'

const graphs = fc
  .integer({ min: 1, max: 70 })
  .chain((size) =>
    fc
      .array(fc.uniqueArray(fc.nat({ max: size - 1 }), { maxLength: 3 }), { minLength: size, maxLength: size })
      .map((lists) => lists.map((named, position) => named.filter((other) => other !== position))),
  )

/** Everything that a position waits for, by following every edge. */
function reach(dependencies: readonly (readonly number[])[], position: number): Set<number> {
  const reached = new Set<number>()
  const open = [...(dependencies[position] as readonly number[])]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (reached.has(next)) continue
    reached.add(next)
    open.push(...(dependencies[next] as readonly number[]))
  }
  return reached
}

t.test('there is a cycle exactly when something waits for itself, and each one reported is one', async (t) => {
  fc.assert(
    fc.property(graphs, (dependencies) => {
      const { cycles } = new DependencyGraph(dependencies)
      assert.equal(
        cycles.length > 0,
        dependencies.some((_, position) => reach(dependencies, position).has(position)),
      )
      for (const cycle of cycles) {
        for (const [i, position] of cycle.entries())
          assert.ok(dependencies[position]?.includes(cycle[(i + 1) % cycle.length] as number))
      }
    }),
  )
  t.pass('they are')
})

t.test('waiting goes through others', async (t) => {
  fc.assert(
    fc.property(graphs, (lists) => {
      const dependencies = lists.map((named, position) => named.filter((other) => other < position))
      const graph = new DependencyGraph(dependencies)
      for (const position of dependencies.keys()) {
        const reached = reach(dependencies, position)
        for (const other of dependencies.keys()) assert.equal(graph.waitsFor(position, other), reached.has(other))
      }
    }),
  )
  t.pass('it does')
})
