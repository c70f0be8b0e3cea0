/** Run by logging.test.ts: when its standard input ends, it logs lines in one turn of the event loop and ends with code 3. */
import { createLogger } from '../../src/telemetry/logging.ts'

const log = createLogger({ level: 'info' })
process.stdin.resume().once('end', () => {
  for (const line of ['one', 'two', 'three']) log.info({}, line)
  process.exit(3)
})
