/** The text `from`, which must stand exactly once in `file`, becomes `to`. */
export interface Edit {
  /** From the root of the repository. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** A bug to be planted, in one place or more. */
export interface Mutant extends Edit {
  readonly name: string
  readonly also?: readonly Edit[]
  /** Where the hunt begins; 1 when left out. A bug that takes a rare definition is looked for where there is one. */
  readonly seed?: number
}

/** What a read does not find was not written. */
const decide = `wasNotWritten: async (appends: readonly Append[]) => {
        const last = appends.map(({ executionId, events }) => store.eventsAfter(executionId, events.at(-1)!.seq - 1, 1))
        return (await Promise.all(last).catch(() => [[null]])).every((found) => found.length === 0)
      },`

/** Each of these the simulation has to find. The model's stand for the statement whose clauses it mirrors. */
export const mutants: readonly Mutant[] = [
  {
    name: 'the fence does not ask whether the node lives',
    file: 'test/simulation/model/flush.ts',
    from: 'if (present === undefined) return false',
    to: 'if (present === undefined) return true',
  },
  {
    name: 'a fenced flush is taken for a committed one',
    file: 'src/engine/journal.ts',
    from: "if (outcome === 'fenced') return this.#options.onFenced('the fence of its lane is gone')",
    to: '',
    seed: 2,
  },
  {
    name: 'the barrier is gone: actions are performed before the commit of what caused them',
    file: 'src/engine/executor.ts',
    from: 'this.#writer.draft.perform(command)',
    to: 'this.#perform([command])',
  },
  {
    name: 'flushes are acknowledged before they are answered',
    file: 'src/engine/journal.ts',
    from: 'const outcome = await this.#lane.flush(appends, sentBefore || attempt > 1)',
    to: "const outcome: string = 'committed'; this.#lane.flush(appends, sentBefore || attempt > 1).catch(() => {})",
  },
  {
    name: 'a parked execution is not woken',
    file: 'src/engine/row-image.ts',
    from: 'return (data as { wakeAt: number | null }).wakeAt',
    to: 'return null',
  },
  {
    name: 'a signal is taken from the inbox without its event',
    file: 'src/engine/executor.ts',
    from: "if (answer.type === 'fact') this.record(answer.fact, item)",
    to: "if (item.kind === 'signal') this.#writer.draft.answer(item)\n      else if (answer.type === 'fact') this.record(answer.fact, item)",
  },
  {
    name: 'a rollback leaves a hole in seq',
    file: 'src/engine/rollback.ts',
    from: 'state.seq = seq\n',
    to: 'state.seq = seq + 1\n',
  },
  {
    name: 'a rollback keeps the keys of the generation before',
    file: 'src/engine/core/control.ts',
    from: '  state.generation = event.generation\n',
    to: '',
  },
  {
    name: 'recovery forgets the attempts that were under way',
    file: 'src/engine/core/pending.ts',
    from: "else commands.push({ type: 'perform', path, attempt })",
    to: '',
  },
  {
    name: 'subscribers of other nodes miss the first event of each poll',
    file: 'src/engine/feed-poll.ts',
    from: 'after: tail.next - 1 })',
    to: 'after: tail.next })',
  },
  {
    name: 'an unanswered flush is read to have failed, and is sent again as a new one',
    file: 'src/engine/journal.ts',
    from: 'const outcome = await this.#lane.flush(appends, sentBefore || attempt > 1)',
    to: 'const outcome = await this.#lane.flush(appends, false)',
  },
  {
    name: 'recovery performs an at_most_once step again',
    file: 'src/engine/core/pending.ts',
    from: "commands.push({ type: 'interrupt', path, attempt })",
    to: "commands.push({ type: 'perform', path, attempt })",
  },
  {
    name: 'a retry begins a finally that failed again from its first step',
    file: 'src/engine/core/steps/try.ts',
    from: "isOpen('finally')) return restartStep(turn, plan.finally, at('finally'))",
    to: "isOpen('finally')) return reach(turn, plan.finally, at('finally'), step.data)",
    seed: 10,
  },
  {
    name: 'the outcome of an unanswered flush is decided by reading: what is not there is sent as a new one',
    file: 'src/engine/journal.ts',
    from: 'this.#options.onRetry({ error, appends: batch.length, attempt })',
    to: ';(this as any).isNew = await (this.#options as any).wasNotWritten(appends)',
    also: [
      {
        file: 'src/engine/journal.ts',
        from: 'this.#lane.flush(appends, sentBefore || attempt > 1)',
        to: 'this.#lane.flush(appends, attempt > 1 ? !(this as any).isNew : sentBefore)',
      },
      { file: 'src/engine/node-life.ts', from: 'onFenced: onDeath,', to: `onFenced: onDeath, ${decide}` },
    ],
  },
  {
    name: 'a child is started by an append of its own',
    file: 'src/engine/child-start.ts',
    from: 'accompany: (draft) => draft.start(start)',
    to: 'accompany: () => services.journal.append(start, { committed() {}, rejected() {}, abandoned() {} })',
  },
  {
    name: 'a child that its parent lets go is not told',
    file: 'src/engine/core/children.ts',
    from: "if (child.policy !== 'abandon') turn.commands.push({ type: 'tell_child', executionId, action: 'cancel' })",
    to: '',
  },
  {
    name: 'the end of a child is told to a parent that is awake alone',
    file: 'test/simulation/model/flush.ts',
    from: 'return row !== undefined && !isFinished(row.status)',
    to: "return row?.status === 'running'",
  },
  {
    name: 'a decision is answered before it is taken',
    file: 'src/engine/approvals.ts',
    from: "const effective = approval.status !== 'open'",
    to: 'const effective = true',
    also: [
      {
        file: 'src/engine/approvals.ts',
        from: '(effective && approval.requestId !== posted.requestId)',
        to: "(approval.status !== 'open' && approval.requestId !== posted.requestId)",
      },
      {
        file: 'src/engine/approvals.ts',
        from: 'await feed.waitFor(executionId, lastSeq, (event) => answers(event, posted.requestId), ANSWER_WITHIN_MS)',
        to: '',
      },
    ],
  },
  {
    name: 'who decides second is told that it counts',
    file: 'src/engine/approvals.ts',
    from: '(effective && approval.requestId !== posted.requestId)',
    to: 'false',
  },
  {
    name: 'an approval that was decided stays open',
    file: 'src/engine/core/approvals.ts',
    from: '  delete turn.state.approvals![approvalId]\n',
    to: '',
  },
  {
    name: 'what a rollback supersedes stays listed as open',
    file: 'src/engine/core/control.ts',
    from: 'supersede(turn, event.approvals ?? [])',
    to: 'supersede(turn, [])',
  },
  {
    name: 'an emitted signal passes over who is parked',
    file: 'test/simulation/model/reads.ts',
    from: '!isFinished(row.status) && isMeant(row)',
    to: "row.status !== 'waiting' && !isFinished(row.status) && isMeant(row)",
  },
  {
    name: 'an emitted signal is left by an append of its own',
    file: 'src/engine/emission.ts',
    from: 'draft.send({ executionId,',
    to: 'void services.store.insertInbox({ executionId,',
    also: [
      { file: 'src/engine/emission.ts', from: 'at: clock.now() }, bytes)', to: 'at: clock.now() }).catch(() => {})' },
    ],
  },
  {
    name: 'a slot is given to one more than may hold it',
    file: 'test/simulation/model/slots.ts',
    from: 'if (held().length >= newest!.limit) break',
    to: 'if (held().length > newest!.limit) break',
  },
  {
    name: 'a step begins while it waits in line',
    file: 'src/engine/core/steps/step.ts',
    from: "return void turn.commands.push({ type: 'queue', path: step.path })",
    to: "turn.commands.push({ type: 'queue', path: step.path })",
  },
  {
    name: 'a step that is cancelled keeps its slot',
    file: 'src/engine/core/steps/step.ts',
    from: "if (step.slot !== undefined) giveBack(turn, path, step)\n  step.status = 'cancelled'",
    to: "step.status = 'cancelled'",
  },
  {
    name: 'an execution that has ended keeps its slot',
    file: 'src/engine/core/control.ts',
    from: "if (state.slot !== undefined) giveBack(turn, '')",
    to: '',
  },
  {
    name: 'a rollback gives nothing back',
    file: 'src/engine/core/slots.ts',
    from: 'released: now.filter((name) => !isKept(name)),',
    to: 'released: [],',
  },
  {
    name: 'a retry goes on without the slots that it needs',
    file: 'src/engine/core/control.ts',
    from: "if (!mustRegain(turn, 'retry')) tryAgain(turn)",
    to: 'tryAgain(turn)',
  },
  {
    name: 'what its node left unsettled is looked for by nobody',
    file: 'test/simulation/model/slots.ts',
    from: 'changedAt < before',
    to: 'changedAt < 0',
  },
  {
    name: 'the first in line is told in a transaction of its own',
    file: 'test/simulation/model/slots.ts',
    from: '    tell(transaction, tables, row, { path: row.path, ticket: row.ticket })\n',
    to: '',
  },
  {
    name: 'who is refused the probe of an open circuit calls all the same',
    file: 'src/engine/breakers.ts',
    from: 'if (!(await circuits.claimProbe(key, probeId, PROBE_LEASE_MS))) return null',
    to: 'await circuits.claimProbe(key, probeId, PROBE_LEASE_MS)',
  },
  {
    name: 'a start does not hold its executionKey',
    file: 'test/simulation/model/execution-keys.ts',
    from: ", mode: 'exclusive' }\n    const holder",
    to: ", mode: 'key_share' }\n    const holder",
  },
  {
    name: 'a node performs without looking at its lease',
    file: 'src/engine/ownership.ts',
    from: "this.#options.clock.monotonic() < this.#performUntil && this.#phase !== 'over'",
    to: "this.#phase !== 'over'",
  },
  {
    name: 'a lease ends by the clock of its node',
    file: 'test/simulation/node.ts',
    from: 'return { ...store, registerNode }',
    to: 'return { ...store, registerNode, heartbeat: (id, leaseMs) => store.heartbeat(id, leaseMs + this.#skewMs) }',
  },
  {
    name: 'a resend whose events are there changes the rest once more',
    file: 'test/simulation/model/flush.ts',
    from: "if (inserted === 0) return 'committed'",
    to: '',
    also: [
      {
        file: 'test/simulation/model/flush.ts',
        from: 'if (inserted < sent) throw',
        to: 'if (inserted > 0 && inserted < sent) throw',
      },
    ],
  },
  {
    name: 'a rate limit does not count what it grants',
    file: 'test/simulation/model/rate-limits.ts',
    from: 'tat: base + granted * step,',
    to: 'tat: base,',
  },
  {
    name: 'a call whose place in the line of a rate limit has come is not asked for again',
    file: 'src/engine/attempt.ts',
    from: 'if (rate === null) return this.#call(action, config)',
    to: 'if (rate === null || this.turns > 0) return this.#call(action, config)',
    seed: 3,
  },
  {
    name: 'a call that is granted for later begins at once',
    file: 'src/engine/rate-limits.ts',
    from: 'if (answer.afterMs > 0) await caller.pause(answer.afterMs)',
    to: "if (answer.afterMs > 0 && answer.type === 'later') await caller.pause(answer.afterMs)",
  },
  {
    name: 'while the database does not say whether calls may begin they do',
    file: 'src/engine/rate-limits.ts',
    from: 'if (!this.#isStopped) await this.#rest()\n      this.#takeBack(groups)',
    to: "for (const { callers } of groups) for (const { answer } of callers) answer({ type: 'granted', afterMs: 0 })",
  },
  {
    name: 'what steps evaluate that go on at once is blind to each other',
    file: 'src/engine/executor.ts',
    from: 'this.#facts.ask(command)',
    to: `{
      const fact = answerTo(command, this, this.#state, this.#room.bounds(this.#state), this.#services.clock)
      if (fact !== null) this.#facts.push(fact, undefined)
    }`,
  },
]
