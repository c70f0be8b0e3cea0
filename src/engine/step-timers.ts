import type { Plan } from '../definition/plan.ts'
import type { Clock } from './clock.ts'
import type { Command } from './core/command.ts'
import type { Fact } from './core/event.ts'
import type { ExecutionState } from './core/state.ts'
import { timerFact } from './facts.ts'
import { Timers } from './timers.ts'

/** The timers of an execution, those that the core asks for among them: when one is due, its fact is recorded. */
export class StepTimers extends Timers {
  readonly #plan: Plan
  readonly #state: () => ExecutionState
  readonly #record: (fact: Fact) => void

  constructor(clock: Clock, plan: Plan, state: () => ExecutionState, record: (fact: Fact) => void) {
    super(clock)
    this.#plan = plan
    this.#state = state
    this.#record = record
  }

  carryOut(command: Extract<Command, { type: 'set_timer' | 'clear_timer' }>): void {
    const name = `${command.timer} ${command.path}`
    if (command.type === 'clear_timer') return this.clear(name)
    this.set(name, command.dueAt, () => {
      const fact = timerFact(command, this.#plan, this.#state())
      if (fact !== null) this.#record(fact)
    })
  }
}
