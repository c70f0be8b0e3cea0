import { readFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { answer, type Loopback, listen } from './loopback.ts'

/** How long the service takes for an answer: as long as one on the internet may. */
const latencyMs = 400

/** Edgar Anderson's irises, one record a flower; see ../data/README.md. */
export const irises = parse(readFileSync(path.join(import.meta.dirname, '../data/iris.csv'), 'utf8'))

/** Serves the data set at /data. */
export function startDataService(port: number, anyPort: boolean): Promise<Loopback> {
  return listen(
    async (request, response) => {
      await delay(latencyMs)
      if (request.url === '/data') answer(response, 200, irises)
      else answer(response, 404, { message: `There is nothing at ${request.url}` })
    },
    port,
    anyPort,
  )
}

/** CSV without quotes: a header, then one record a line; what looks like a number is one. */
function parse(csv: string): Record<string, string | number>[] {
  const [header = '', ...lines] = csv.trimEnd().split('\n')
  const names = header.split(',')
  return lines.map((line) => {
    const cells = line.split(',').map((cell) => (Number.isNaN(Number(cell)) ? cell : Number(cell)))
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']))
  })
}
