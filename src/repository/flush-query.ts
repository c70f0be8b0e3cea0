import type { Duplex } from 'node:stream'
import type pg from 'pg'
import type { Copy } from './copy.ts'

/** What pg keeps to itself of a connection: the messages of its protocol, one by one. */
interface Connection {
  readonly stream: Duplex
  /** The texts of the named statements that the server has acknowledged. */
  readonly parsedStatements: Readonly<Record<string, string>>
  parse(statement: { readonly name?: string | undefined; readonly text: string }): void
  bind(portal: { readonly statement?: string | undefined; readonly values: readonly unknown[] }): void
  execute(portal: object): void
  endCopyFrom(): void
  sync(): void
}

export interface FlushStatement {
  /** Prepared under this name; undefined: planned each time. */
  readonly name: string | undefined
  readonly text: string
  readonly values: readonly unknown[]
  readonly copies: readonly Copy[]
}

/**
 * A statement, and the rows that are copied behind it, in one round trip and one transaction: all that is sent before a Sync commits
 * or fails together (postgresql.org/docs/current/protocol-flow.html, "Pipelining"). Resolves once all of it is committed, with the
 * number of rows that the last of them wrote. What the statement answers is not asked for: 20 µs of Node less than by pg's own query, of
 * 65 for a lone one.
 */
export function queryFlush(client: pg.Client, statement: FlushStatement): Promise<number> {
  return new Promise((resolve, reject) => {
    client.query(new FlushQuery(statement, (error, rows) => (error === null ? resolve(rows) : reject(error))))
  })
}

/** As pg.Query, which knows one statement a query. pg calls what begins with `handle`, and reads name and text when one was parsed. */
class FlushQuery {
  readonly name: string | undefined
  readonly text: string
  readonly callback: (error: Error | null, rows: number) => void
  readonly #values: readonly unknown[]
  readonly #statements: readonly string[]
  readonly #messages: readonly Buffer[]
  #rows = 0

  constructor({ name, text, values, copies }: FlushStatement, callback: FlushQuery['callback']) {
    this.name = name
    this.text = text
    this.callback = callback
    this.#values = values.map((value) => (value === null ? null : String(value)))
    this.#statements = copies.map(({ statement }) => statement)
    this.#messages = copies.map(({ lines }) => copyData(lines))
  }

  submit(connection: Connection): void {
    const { stream } = connection
    stream.cork()
    const isParsed = this.name !== undefined && connection.parsedStatements[this.name] !== undefined
    if (!isParsed) connection.parse({ name: this.name, text: this.text })
    connection.bind({ statement: this.name, values: this.#values })
    connection.execute({})
    for (const [index, text] of this.#statements.entries()) {
      connection.parse({ text })
      connection.bind({ values: [] })
      connection.execute({})
      stream.write(this.#messages[index]!)
      connection.endCopyFrom()
    }
    connection.sync()
    stream.uncork()
  }

  handleError(error: Error): void {
    this.callback(error, 0)
  }

  handleReadyForQuery(): void {
    this.callback(null, this.#rows)
  }

  /** Its tag is `INSERT 0 1`, `COPY 500`. */
  handleCommandComplete({ text }: { readonly text: string }): void {
    this.#rows = Number(text.slice(text.lastIndexOf(' ') + 1))
  }

  handleCopyInResponse(): void {}
  handleDataRow(): void {}
  handleRowDescription(): void {}
}

const COPY_DATA = 'd'.charCodeAt(0)

/** The message CopyData, in one piece: pg's own would copy it twice. */
function copyData(lines: string): Buffer {
  const length = Buffer.byteLength(lines)
  const message = Buffer.allocUnsafe(5 + length)
  message[0] = COPY_DATA
  message.writeInt32BE(4 + length, 1)
  message.write(lines, 5)
  return message
}
