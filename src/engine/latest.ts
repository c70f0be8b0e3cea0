/**
 * One job at a time for each key, shared by all who ask. Who asks while one runs gets the next one, never that one: it may
 * have read before the change that the asker knows of. However many ask at once, two jobs answer them all.
 */
export class Latest<T> {
  readonly #work: (key: string) => Promise<T>
  readonly #jobs = new Map<string, Job<T>>()

  constructor(work: (key: string) => Promise<T>) {
    this.#work = work
  }

  get(key: string): Promise<T> {
    const job = this.#jobs.get(key)
    if (job === undefined) return this.#begin(key)
    const begin = (): Promise<T> => this.#begin(key)
    job.next ??= job.running.then(begin, begin)
    return job.next
  }

  #begin(key: string): Promise<T> {
    const job: Job<T> = { next: null, running: Promise.resolve().then(() => this.#work(key)) }
    this.#jobs.set(key, job)
    const end = (): void => {
      if (job.next === null && this.#jobs.get(key) === job) this.#jobs.delete(key)
    }
    job.running.then(end, end)
    return job.running
  }
}

interface Job<T> {
  readonly running: Promise<T>
  next: Promise<T> | null
}
