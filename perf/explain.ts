import pg from 'pg'

/** What PostgreSQL did for one statement. */
export interface Plan {
  readonly text: string
  readonly planningMs: number
  readonly executionMs: number
  /** Pages of 8 KiB that were looked at. */
  readonly pages: number
  readonly indexes: readonly string[]
  /** Tables that were read from end to end. */
  readonly scanned: readonly string[]
  readonly tree: unknown
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Index Name'?: string
  readonly 'Actual Loops'?: number
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/**
 * Explains what goes through a client's `query` while `listen` is set: each statement is performed with EXPLAIN ANALYZE and
 * rolled back before it is performed for good, so that what is measured is what the engine sends, with its very parameters.
 */
export class Explainer {
  readonly #original = pg.Client.prototype.query
  #listen: ((plan: Plan) => void) | null = null

  install(): void {
    const explainer = this
    const inTransaction = new WeakSet<pg.Client>()
    pg.Client.prototype.query = function (this: pg.Client, ...given: unknown[]): unknown {
      const original = (...args: unknown[]): Promise<unknown> =>
        (explainer.#original as unknown as (...args: unknown[]) => Promise<unknown>).apply(this, args)
      const { text, values } = statementOf(given)
      if (/^BEGIN|^START/i.test(text)) inTransaction.add(this)
      if (/^COMMIT|^ROLLBACK/i.test(text)) inTransaction.delete(this)
      if (explainer.#listen === null || !/^\s*(SELECT|WITH|INSERT|UPDATE|DELETE)/i.test(text) || /advisory/.test(text))
        return original(...given)
      const listen = explainer.#listen
      const explained = explain(original, text, values, inTransaction.has(this)).then(listen)
      const callback = given.at(-1)
      if (typeof callback !== 'function') return explained.then(() => original(...given))
      explained.then(
        () => original(...given),
        (error) => callback(error),
      )
      return undefined
    } as never
  }

  uninstall(): void {
    pg.Client.prototype.query = this.#original
  }

  /** The plans of all statements that `task` sends. */
  async plansOf(task: () => Promise<unknown>): Promise<Plan[]> {
    const plans: Plan[] = []
    this.#listen = (plan) => void plans.push(plan)
    try {
      await task()
    } finally {
      this.#listen = null
    }
    return plans
  }
}

function statementOf(given: readonly unknown[]): { text: string; values: unknown[] } {
  const [first, second] = given
  if (typeof first === 'string') return { text: first, values: Array.isArray(second) ? second : [] }
  const { text = '', values } = first as { text?: string; values?: unknown[] }
  return { text, values: values ?? (Array.isArray(second) ? second : []) }
}

async function explain(
  query: (...args: unknown[]) => Promise<unknown>,
  text: string,
  values: unknown[],
  isNested: boolean,
): Promise<Plan> {
  await query(isNested ? 'SAVEPOINT explaining' : 'BEGIN')
  const { rows } = (await query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${text}`, values)) as {
    rows: { 'QUERY PLAN': { Plan: PlanNode; 'Planning Time': number; 'Execution Time': number }[] }[]
  }
  await query(isNested ? 'ROLLBACK TO SAVEPOINT explaining' : 'ROLLBACK')
  const { Plan: tree, 'Planning Time': planningMs, 'Execution Time': executionMs } = rows[0]!['QUERY PLAN'][0]!
  const nodes = [...nodesOf(tree)].filter((node) => node['Actual Loops'] !== 0)
  const named = (of: (node: PlanNode) => string | undefined | false): string[] => [
    ...new Set(nodes.flatMap((node) => of(node) || [])),
  ]
  return {
    text,
    planningMs,
    executionMs,
    pages: (tree['Shared Hit Blocks'] ?? 0) + (tree['Shared Read Blocks'] ?? 0),
    indexes: named((node) => node['Index Name']),
    scanned: named((node) => node['Node Type'] === 'Seq Scan' && node['Relation Name']),
    tree,
  }
}

function* nodesOf(node: PlanNode): Iterable<PlanNode> {
  yield node
  for (const child of node.Plans ?? []) yield* nodesOf(child)
}
