import { setTimeout as delay } from 'node:timers/promises'

const PATIENCE_MS = 120_000
const LOOK_MS = 20

/** Resolves with the first answer of `look` that is neither null nor false: for what only the database shows. Rejects after long. */
export async function until<T>(what: string, look: () => Promise<T | null | false>): Promise<T> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    const answer = await look()
    if (answer !== null && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`this did not come about: ${what}`)
    await delay(LOOK_MS)
  }
}
