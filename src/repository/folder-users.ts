import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'

/*
 * Which processes use a data folder. Each holds a shared advisory lock on a session of its own, which the kernel closes
 * however the process ends: the lock cannot outlive it, as a file would. Taking it exclusively first proves that nobody else
 * is alive; taking it exclusively at the end, that nobody is left.
 */

/** 'cairn' in ASCII; any constant does. */
export const folderLock = 426_970_444_398
const namePrefix = 'cairn process '

/** The application_name of the session that holds the lock. */
export const sessionName = `${namePrefix}${process.pid}`

/** How long a session of a process that has died may take to end. */
const patienceMs = 5_000

/** To join and to leave takes milliseconds: who holds the others up for longer stands still in the middle of it. */
const stillMs = 2_000

/**
 * Counts this process among the users. Answers when it was the only one, by the server's clock (ms since 1970), or null: who
 * joins after that moment is alive.
 */
export async function join(session: pg.Client): Promise<number | null> {
  const alone = await waitForTheDead(session)
  // While the lock is held, so that nobody has joined yet.
  const aloneAt = alone ? await serverNow(session) : null
  await lockShared(session)
  if (alone) await session.query('SELECT pg_advisory_unlock($1)', [folderLock])
  return aloneAt
}

/** Counts this process among the users once more, on another session: the server has ended the one of before. */
export async function joinAgain(session: pg.Client): Promise<void> {
  await lockShared(session)
}

/**
 * Waits for those who join or leave at this moment. Of one that stands still (SIGSTOP, a frozen machine) the session is ended: it
 * finds out when it goes on. Should it have been leaving as the last one, it stops the server then, which is started again.
 */
async function lockShared(session: pg.Client): Promise<void> {
  await session.query(`SET lock_timeout = ${stillMs}`)
  for (;;) {
    try {
      await session.query('SELECT pg_advisory_lock_shared($1)', [folderLock])
      return
    } catch (error) {
      if ((error as { code?: string }).code !== '55P03') throw error
      await session.query(
        `SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted AND objsubid = 1
           AND (classid::bigint << 32) + objid::bigint = $1 AND pid <> pg_backend_pid()`,
        [folderLock],
      )
    }
  }
}

async function serverNow(session: pg.Client): Promise<number> {
  const { rows } = await session.query<{ now: number }>(
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now',
  )
  return rows[0]!.now
}

/** Takes this process off; true when it was the last: then nobody can join before the session ends. */
export async function leave(session: pg.Client): Promise<boolean> {
  await session.query('SELECT pg_advisory_unlock_shared($1)', [folderLock])
  return isAlone(session)
}

/** True with the exclusive lock, false as soon as a living process is seen to use the folder. */
async function waitForTheDead(session: pg.Client): Promise<boolean> {
  const deadline = performance.now() + patienceMs
  while (!(await isAlone(session))) {
    const { rows } = await session.query<{ name: string }>(
      'SELECT application_name AS name FROM pg_stat_activity WHERE application_name LIKE $1 AND pid <> pg_backend_pid()',
      [`${namePrefix}%`],
    )
    const isInUse = rows.some(({ name }) => isAlive(Number(name.slice(namePrefix.length))))
    if (isInUse || performance.now() > deadline) return false
    await delay(20)
  }
  return true
}

async function isAlone(session: pg.Client): Promise<boolean> {
  const { rows } = await session.query('SELECT pg_try_advisory_lock($1) AS alone', [folderLock])
  return rows[0].alone
}

/** A number that was given to another process since, or is one of another container, only makes it wait for the lease. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
