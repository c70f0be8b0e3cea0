import { randomFillSync } from 'node:crypto'
import { v7 as uuidv7 } from 'uuid'

const ID_BYTES = 16
/** Asking the system for random bytes costs 2 µs however few they are, which is more than the rest of an id. */
const IDS_AT_ONCE = 256
const MOST_SEQ = 2 ** 31 - 1

/**
 * Makes UUIDv7s (RFC 9562, section 5.7) of the time that the caller passes in, ms: unique everywhere; those of one source are in
 * the order in which they were made.
 */
export class TimeOrderedIds {
  readonly #random = new Uint8Array(ID_BYTES * IDS_AT_ONCE)
  #used = this.#random.length
  #msecs = 0
  /** Counts within a millisecond from a random number on, with room for as many above it (RFC 9562, section 6.2, method 1). */
  #seq = 0

  next(now: number): string {
    const random = this.#nextRandom()
    if (now > this.#msecs || this.#seq === MOST_SEQ) {
      this.#msecs = Math.max(now, this.#msecs + 1)
      this.#seq = ((random[6]! & 0x3f) << 24) | (random[7]! << 16) | (random[8]! << 8) | random[9]!
    } else this.#seq += 1
    return uuidv7({ random, msecs: this.#msecs, seq: this.#seq })
  }

  #nextRandom(): Uint8Array {
    if (this.#used === this.#random.length) {
      randomFillSync(this.#random)
      this.#used = 0
    }
    const from = this.#used
    this.#used += ID_BYTES
    return this.#random.subarray(from, this.#used)
  }
}
