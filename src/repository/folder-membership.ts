import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { join, joinAgain, leave } from './folder-users.ts'

/** How this process is doing with a server that may be killed under it. */
export interface MembershipOptions {
  /** A session on the folder's server, which is started when it does not run. */
  readonly open: () => Promise<pg.Client>
  /** The server has ended under us; it is started again. */
  readonly onEnded: () => void
  /** It cannot be started; it will be tried again. */
  readonly onFailed: (error: Error) => void
}

const pauseMs = 1_000
const mostJoins = 3

/*
 * This process among the users of a data folder, from its joining to its leaving:
 *
 *   joined ──the session ends──▶ reviving (opens another, which starts the server) ──▶ joined
 *      └──────────leave─────────────┴──▶ left
 *
 * An embedded server has nobody else to start it: no service manager knows of it.
 */
export class FolderMembership {
  /** See EmbeddedPostgres. */
  readonly aloneAt: number | null
  readonly #options: MembershipOptions
  #session: pg.Client
  #reviving: Promise<void> = Promise.resolve()
  #isLeaving = false

  private constructor(options: MembershipOptions, session: pg.Client, aloneAt: number | null) {
    this.#options = options
    this.#session = session
    this.aloneAt = aloneAt
    this.#watch()
  }

  /**
   * The session may end meanwhile: the last one to leave has stopped the server, or others took this process for one that stands
   * still.
   */
  static async join(options: MembershipOptions): Promise<FolderMembership> {
    for (let attempt = 1; ; attempt++) {
      const session = await options.open()
      try {
        return new FolderMembership(options, session, await join(session))
      } catch (error) {
        await session.end().catch(() => {})
        if (attempt === mostJoins) throw error
      }
    }
  }

  get session(): pg.Client {
    return this.#session
  }

  /** Takes this process off the list; true when it was the last. Nobody can join then before `session` ends. */
  async leave(): Promise<boolean> {
    this.#isLeaving = true
    await this.#reviving
    return leave(this.#session)
  }

  #watch(): void {
    this.#session.once('end', () => {
      if (!this.#isLeaving) this.#reviving = this.#revive()
    })
  }

  async #revive(): Promise<void> {
    this.#options.onEnded()
    while (!this.#isLeaving) {
      try {
        const session = await this.#options.open()
        await joinAgain(session)
        this.#session = session
        return this.#watch()
      } catch (error) {
        if (this.#isLeaving) return
        this.#options.onFailed(error as Error)
        await delay(pauseMs)
      }
    }
  }
}
