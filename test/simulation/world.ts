import { Random } from './random.ts'

/** Something that tasks belong to: a life of a process. It may stand still, and it may be gone. */
export interface Body {
  /** Nothing of it happens before this time (ms). */
  stillUntil: number
  isGone: boolean
}

interface Task {
  /** When it happens, and when it was meant to: what was late goes in the order in which it was due. */
  at: number
  readonly dueAt: number
  readonly order: number
  readonly body: Body | null
  readonly run: () => void
  isCancelled: boolean
}

/** What happened, for a report; the newest lines are kept. */
const TRACE_LINES = 50_000

/**
 * Time and everything that happens in it. One task happens after another; between two of them all promises run to their
 * end. Time jumps from task to task, so waiting costs nothing.
 */
export class World {
  readonly random: Random
  readonly trace: string[] = []
  /** ms since the world began: the database's clock. */
  now = 0
  steps = 0
  readonly #heap: Task[] = []
  #order = 0

  constructor(seed: number) {
    this.random = new Random(seed)
  }

  after(delayMs: number, body: Body | null, run: () => void): { cancel(): void } {
    const at = this.now + Math.max(0, delayMs)
    const task: Task = { at, dueAt: at, order: this.#order++, body, run, isCancelled: false }
    this.#push(task)
    return {
      cancel: () => {
        task.isCancelled = true
      },
    }
  }

  /** A promise that is kept after some time. */
  pause(delayMs: number, body: Body | null = null): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, body, resolve))
  }

  note(line: string): void {
    if (this.trace.length >= TRACE_LINES) this.trace.splice(0, TRACE_LINES / 2)
    this.trace.push(`${this.now.toFixed(2)} ${line}`)
  }

  /** Lets things happen until `isOver`, or until nothing is left to happen before `limit` (ms). True when it is over. */
  async run(isOver: () => boolean, limit: number): Promise<boolean> {
    await turn()
    while (!isOver()) {
      const task = this.#pop()
      if (task === null || task.at > limit) {
        if (task !== null) this.#push(task)
        this.now = Math.max(this.now, Math.min(limit, task?.at ?? limit))
        return false
      }
      if (task.isCancelled || task.body?.isGone) continue
      if (task.body !== null && task.body.stillUntil > task.at) {
        task.at = task.body.stillUntil
        this.#push(task)
        continue
      }
      this.now = task.at
      this.steps += 1
      task.run()
      await turn()
    }
    return true
  }

  #push(task: Task): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(task)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!isBefore(task, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = task
  }

  #pop(): Task | null {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined) return null
    const last = heap.pop()!
    if (heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1
      if (!isBefore(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first
  }
}

const isBefore = (a: Task, b: Task): boolean =>
  a.at !== b.at ? a.at < b.at : a.dueAt !== b.dueAt ? a.dueAt < b.dueAt : a.order < b.order

/** The event loop's own turn: when it is over, every promise that could go on has done so. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))
