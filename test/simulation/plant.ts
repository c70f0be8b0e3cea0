import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { mutants } from './mutants.ts'

// Preloaded by `node --import`: plants the bug that SIMULATION_MUTANT names into its module while that is loaded.
const root = path.join(import.meta.dirname, '..', '..')
const mutant = mutants.find(({ name }) => name === process.env.SIMULATION_MUTANT)
if (mutant === undefined) throw new Error(`there is no mutant "${process.env.SIMULATION_MUTANT}"`)
const sources = new Map<string, string>()
for (const { file, from, to } of [mutant, ...(mutant.also ?? [])]) {
  const url = pathToFileURL(path.join(root, file)).href
  const parts = (sources.get(url) ?? readFileSync(path.join(root, file), 'utf8')).split(from)
  if (parts.length !== 2)
    throw new Error(`"${from}" stands ${parts.length - 1} times in ${file}: the mutant no longer applies`)
  sources.set(url, parts.join(to))
}

registerHooks({
  load(url, context, next) {
    const source = sources.get(url)
    if (source === undefined) return next(url, context)
    return { format: 'module-typescript', source, shortCircuit: true }
  },
})
