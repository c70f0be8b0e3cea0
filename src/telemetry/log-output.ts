import { writeSync } from 'node:fs'
import pino, { type DestinationStream } from 'pino'

/** Lines that nobody takes from stdout are kept up to here, in bytes; what comes then is lost. */
const MOST_WAITING = 16 * 1024 * 1024
/** How long the end of the process waits for somebody to take them, and how often it looks; ms. */
const PATIENCE_MS = 5_000
const LOOK_MS = 10

/** What sonic-boom, pino's destination, keeps: texts that wait behind the one that is being written, and the bytes of all. */
interface Waiting {
  readonly _bufs: string[]
  _len: number
}

/**
 * stdout for lines. What is written while others are on their way goes with the next ones: one by one they were a fifth of the
 * service's time at thousands of starts a second. The end of the process waits for them; `kill -9` may lose those of the last
 * turns of the event loop.
 */
export function openLogOutput(): DestinationStream {
  const output = pino.destination({ dest: 1, sync: false, maxLength: MOST_WAITING })
  // Called by pino after a fatal line and when the process ends. Its own tries for ever when nobody is left to read (EPIPE).
  output.flushSync = () => {
    const waiting = output as unknown as Waiting
    const texts = waiting._bufs.splice(0).map((text) => Buffer.from(text))
    for (const { length } of texts) waiting._len -= length
    writeAll(Buffer.concat(texts))
  }
  return output
}

function writeAll(bytes: Buffer): void {
  const until = performance.now() + PATIENCE_MS
  for (let from = 0; from < bytes.length; ) {
    try {
      from += writeSync(1, bytes, from)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() > until) return
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_MS)
    }
  }
}
