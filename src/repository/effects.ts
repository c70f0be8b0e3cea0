import { createHash } from 'node:crypto'
import type pg from 'pg'
import type { JsonObject } from '../definition/json.ts'

/*
 * What was performed in somebody's database, recorded in that database itself, in the transaction that performed it:
 *
 *   takeKey ──(the key is new)──▶ the statement ──▶ keepResult ──▶ COMMIT
 *      │  ▲
 *      │  └─ a transaction that has the key and has not ended: wait for its end
 *      └────(the key is there)──▶ its result; nothing is performed
 */

/** The table, in the first schema of the role's search_path. docs/exactly-once.md has it too; a test keeps them in step. */
export const effectsTable =
  'CREATE TABLE cairn_effects (idempotency_key text PRIMARY KEY, result json NOT NULL, at timestamptz NOT NULL DEFAULT now())'

/** The role may not make the table or not use it; the message says what helps. */
export class EffectsTableRefused extends Error {
  override readonly name = 'EffectsTableRefused'
}

/** The statement was COMMIT, ROLLBACK or the like: what it did is in no transaction with its record. */
export class TransactionEnded extends Error {
  override readonly name = 'TransactionEnded'
}

/** What a statement answered. */
export interface EffectResult {
  readonly rows: JsonObject[]
  readonly rowCount: number
}

/** A path may be longer than an index takes (2,704 bytes): such a key goes as its hash. */
export const recordKey = (key: string): string =>
  key.length <= 1_000 ? key : `sha256:${createHash('sha256').update(key).digest('hex')}`

/**
 * Takes the key within the transaction that is open on `client`, waiting for another that has just taken it. Answers with
 * the recorded result when the statement was performed before, null when it is ours to perform, and `no table` (then the
 * transaction is spoiled) when there is none yet.
 */
export async function takeKey(client: pg.ClientBase, key: string): Promise<EffectResult | null | 'no table'> {
  // Twice: the row that was in the way may be cleaned away before it is read.
  for (let turn = 0; turn < 2; turn++) {
    const insert = "INSERT INTO cairn_effects (idempotency_key, result) VALUES ($1, 'null') ON CONFLICT DO NOTHING"
    const taken = await client.query(insert, [key]).catch(missingOrRefused)
    if (taken === 'no table') return 'no table'
    if (taken.rowCount === 1) return null
    // In a statement of its own, whose snapshot has what the insertion waited for.
    const select = 'SELECT result::text FROM cairn_effects WHERE idempotency_key = $1'
    const found = await client.query<{ result: string }>(select, [key]).catch(refused)
    if (found.rows.length > 0) return recorded(found.rows[0]!.result)
  }
  throw new EffectsTableRefused(
    'cairn_effects has the key of this step, but does not show it: look at its row policies',
  )
}

/** Records the result under a key that takeKey() took in this transaction; `result` is JSON text. */
export async function keepResult(client: pg.ClientBase, key: string, result: string): Promise<void> {
  const update = 'UPDATE cairn_effects SET result = $2 WHERE idempotency_key = $1'
  const { rowCount } = await client.query(update, [key, result]).catch(refused)
  if (rowCount !== 1) throw new TransactionEnded('The query took its own record in cairn_effects away')
}

/** Makes the table, outside a transaction; another node may be making it too. */
export async function createEffectsTable(client: pg.ClientBase): Promise<void> {
  await client.query(effectsTable.replace('TABLE', 'TABLE IF NOT EXISTS')).catch((error: { code?: string }) => {
    // IF NOT EXISTS does not see a table that is being made at the same time: the catalogue's own keys do, or its row type.
    if (error.code === '23505' || error.code === '42P07' || error.code === '42710') return
    // Not allowed, or no schema to make it in.
    if (error.code === '42501' || error.code === '3F000') throw refusal(error as Error)
    throw error
  })
}

/** The command tags of statements that end a transaction. */
const endings = new Set(['COMMIT', 'ROLLBACK', 'PREPARE'])

/** Throws TransactionEnded when the statement with this command tag has ended the transaction that it ran in. */
export function checkStillOpen(command: string): void {
  if (endings.has(command)) throw new TransactionEnded(`${command} ends the transaction that holds the query's record`)
}

/** `null` is what takeKey() writes; committed like that, the statement has ended the transaction before its result was kept. */
function recorded(text: string): EffectResult {
  const result = JSON.parse(text) as EffectResult | null
  if (result === null) throw new TransactionEnded('The query has ended the transaction that held its record')
  return result
}

function missingOrRefused(error: { code?: string }): 'no table' {
  if (error.code === '42P01') return 'no table'
  return refused(error)
}

function refused(error: { code?: string }): never {
  throw error.code === '42501' ? refusal(error as Error) : error
}

const refusal = (cause: Error): EffectsTableRefused =>
  new EffectsTableRefused(
    `exactlyOnce needs the table cairn_effects there (${cause.message}). Let its owner run: ${effectsTable}; ` +
      "GRANT SELECT, INSERT, UPDATE ON cairn_effects TO <the data source's role>",
    { cause },
  )
