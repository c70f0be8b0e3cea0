import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Test } from 'tap'
import { commonChannel } from '../../src/repository/notifications.ts'

interface Heard {
  readonly channel: string
  readonly payload: string
}

/** A bystander that hears what the nodes on a database tell each other. */
export class Notified {
  readonly heard: Heard[] = []
  readonly #client: pg.Client
  #changed: () => void = () => {}

  private constructor(client: pg.Client) {
    this.#client = client
    client.on('notification', ({ channel, payload = '' }) => {
      this.heard.push({ channel, payload })
      this.#changed()
    })
  }

  /** Listens on the channel of all nodes, and on those of further ones with `listen`. */
  static async open(t: Test, url: string): Promise<Notified> {
    const client = new pg.Client({ connectionString: url, application_name: 'cairn harness' })
    client.on('error', () => {})
    await client.connect()
    t.teardown(() => client.end())
    const notified = new Notified(client)
    await notified.listen(commonChannel)
    return notified
  }

  async listen(channel: string): Promise<void> {
    await this.#client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
  }

  /** Resolves when what was heard so far, or will be, satisfies this. */
  async until(isEnough: (heard: readonly Heard[]) => boolean): Promise<void> {
    while (!isEnough(this.heard)) await new Promise<void>((resolve) => (this.#changed = resolve))
  }

  /** All that was sent before now and not taken yet: notifications come in the order of their commits. */
  async take(): Promise<Heard[]> {
    const marker = randomUUID()
    await this.#client.query('SELECT pg_notify($1, $2)', [commonChannel, marker])
    await this.until((heard) => heard.some(({ payload }) => payload === marker))
    return this.heard.splice(0).filter(({ payload }) => payload !== marker)
  }
}
