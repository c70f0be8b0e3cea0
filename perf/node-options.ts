import { readFileSync } from 'node:fs'

/** What `npm start` gives Node: the engine is measured as it is run. */
export function serviceOptions(): string[] {
  const file = new URL('../package.json', import.meta.url)
  const { scripts } = JSON.parse(readFileSync(file, 'utf8')) as { scripts: { start: string } }
  const given = /^exec node (.*)src\/main\.ts$/.exec(scripts.start)
  if (given === null) throw new Error(`"npm start" is something else: ${scripts.start}`)
  return given[1]!.split(' ').filter((option) => option !== '')
}
