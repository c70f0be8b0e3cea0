/** The engine with one execution of ten echo steps at a time: how long one takes from its start to its durable end. */
import { measureEngine } from './engine-program.ts'
import { runAlone } from './report.ts'

if (import.meta.main) await runAlone('engine', measureEngine, (load) => load.atOnce === 1)
