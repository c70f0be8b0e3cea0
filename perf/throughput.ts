/** The engine under load: 100 and 1,000 executions of ten echo steps at once, each step durable before the next. */
import { measureEngine } from './engine-program.ts'
import { runAlone } from './report.ts'

if (import.meta.main) await runAlone('engine', measureEngine, (load) => load.atOnce > 1)
