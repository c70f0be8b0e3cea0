import type { Plan } from '../../src/definition/plan.ts'
import { type ExecutionState, isFinished } from '../../src/engine/core/state.ts'
import { planOf } from '../../src/engine/core/turn.ts'
import type { WorkflowEngine } from '../../src/engine/engine.ts'
import { CairnError } from '../../src/errors.ts'
import type { Audit } from './audit.ts'
import type { Server } from './model/server.ts'
import type { StoredApproval } from './model/tables.ts'
import { news, said } from './sayings.ts'
import type { World } from './world.ts'

/** Asks a node for something; with a key it is asked for again, of other nodes too. */
export type Persist = <T>(node: number, keyed: boolean, ask: (engine: WorkflowEngine) => Promise<T>) => Promise<T>

/** How one decides, or two at the same moment on two nodes. */
export interface Deciding {
  readonly approval: number
  readonly keyed: boolean
  readonly isTwice: boolean
  /** They fill the form in wrongly at first. */
  readonly isWrong: boolean
}

/** Those whom executions wait for: they decide approvals and send signals. */
export class People {
  readonly #world: World
  readonly #server: Server
  readonly #audit: Audit
  readonly #persist: Persist
  readonly #signals = new Map<string, { readonly executionId: string; isTaken: boolean }>()
  /** Approvals that somebody is just deciding so that all comes to its end, and executions that are being told something. */
  readonly #busy = new Set<string>()
  #next = 0

  constructor(world: World, server: Server, audit: Audit, persist: Persist) {
    this.#world = world
    this.#server = server
    this.#audit = audit
    this.#persist = persist
  }

  async decide(node: number, { approval, keyed, isTwice, isWrong }: Deciding): Promise<void> {
    const all = [...this.#server.tables.approvals.values()]
    const meant = all[approval % Math.max(1, all.length)]
    if (meant === undefined) return
    if (isWrong && this.#audit.decisions.hasForm(meant)) await this.#decideWrongly(node, meant)
    await Promise.all([
      this.#decide(node, meant, keyed, 0),
      ...(isTwice ? [this.#decide(node + 1, meant, keyed, 1)] : []),
    ])
  }

  async signal(node: number, executionId: string, name: string, keyed: boolean): Promise<void> {
    const number = this.#next++
    const text = `signal ${number}`
    const told = { executionId, isTaken: false }
    this.#signals.set(`"${text}"`, told)
    const options = keyed ? { idempotencyKey: text } : {}
    const kind = number % 3 === 0 ? 'b' : 'a'
    await this.#persist(node, keyed, (engine) => engine.signal(executionId, name, news(kind, text), options))
    told.isTaken = true
  }

  /** Whatever waits for somebody is answered. */
  answerAll(): void {
    for (const approval of this.#server.tables.approvals.values()) {
      if (approval.status === 'open') this.#soon(approval.id, (die) => this.#decide(die, approval, true, die))
    }
    for (const { state, plan } of this.#audit.mirrors.values()) {
      const name = missed(plan, state)
      if (name !== null) this.#soon(state.executionId, (die) => this.signal(die, state.executionId, name, true))
    }
  }

  /** What must have come true by the end. */
  settled(): void {
    const { archive, hasLostCommits } = this.#audit
    for (const [text, { executionId, isTaken }] of this.#signals) {
      const count = archive
        .eventsOf(executionId)
        .filter((row) => row.type === 'signal.received' && row.text.includes(text)).length
      const isThere = archive.rows.has(executionId)
      if (count > 1) this.#audit.fault('a signal is received once', `${text}: ${count} times`)
      if (isTaken && isThere && count === 0 && !hasLostCommits) {
        this.#audit.fault('an answer means that it is durable', `${text} was never received`)
      }
    }
  }

  #soon(what: string, ask: (die: number) => Promise<void>): void {
    if (this.#busy.has(what)) return
    this.#busy.add(what)
    ask(this.#world.random.below(6))
      .catch((error: Error) => this.#world.note(`  ${what.slice(-4)} is not answered: ${error.message}`))
      .finally(() => this.#busy.delete(what))
  }

  async #decide(node: number, { id, title }: StoredApproval, keyed: boolean, nth: number): Promise<void> {
    const by = `person ${this.#next++}`
    const { decision, data } = said(title, nth)
    const request = { decision, data, by, ...(keyed && { idempotencyKey: by }) }
    this.#world.note(`  ${by}: ${decision} ${id.slice(-4)}`)
    const answer = await this.#persist(node, keyed, (engine) => refusalOf(engine.decideApproval(id, request)))
    if (!(answer instanceof CairnError)) return this.#audit.decisions.answered(id, by, answer)
    this.#world.note(`  ${by} hears ${answer.code}`)
    if (answer.code === 'APPROVAL_CLOSED') this.#audit.decisions.refused(id, by, answer)
  }

  async #decideWrongly(node: number, { id }: StoredApproval): Promise<void> {
    const request = { decision: 'approve', data: { amount: 'much' }, by: 'nobody' } as const
    const answer = await this.#persist(node, false, (engine) => refusalOf(engine.decideApproval(id, request)))
    if (answer instanceof CairnError) return
    this.#audit.fault('what does not fit the form decides nothing', `${id.slice(-4)}: ${answer.approval.status}`)
  }
}

/** What a caller is told is an answer too: asking again changes nothing of it. */
const refusalOf = <T>(asked: Promise<T>): Promise<T | CairnError> =>
  asked.catch((error) => {
    if (error instanceof CairnError && error.status < 500) return error
    throw error
  })

/** Enough for everybody who waits. */
const MOST_UNTAKEN = 20

/** The name of a signal that an execution waits for. */
function missed(plan: Plan, state: ExecutionState): string | null {
  if (isFinished(state.status) || state.waiters === undefined || state.mailbox.length > MOST_UNTAKEN) return null
  for (const path of state.waiters) {
    const step = state.steps.get(path)
    const stepPlan = step && planOf(plan, step)
    if (step?.status === 'waiting' && stepPlan?.type === 'wait_for_signal') return stepPlan.signal
    if (step?.status === 'running' && stepPlan?.type === 'foreach') return stepPlan.grow?.end ?? null
  }
  return null
}
