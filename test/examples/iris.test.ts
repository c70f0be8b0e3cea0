/** The data set of the demo, held against the published statistics of R's `datasets::iris`. */
import t from 'tap'
import { irises } from '../../examples/demo/data-service.ts'

const measures = ['sepalLength', 'sepalWidth', 'petalLength', 'petalWidth']

/** Means and standard deviations by species, in the order of `measures`. */
const published: Record<string, [number[], number[]]> = {
  setosa: [
    [5.006, 3.428, 1.462, 0.246],
    [0.3525, 0.3791, 0.1737, 0.1054],
  ],
  versicolor: [
    [5.936, 2.77, 4.26, 1.326],
    [0.5162, 0.3138, 0.4699, 0.1978],
  ],
  virginica: [
    [6.588, 2.974, 5.552, 2.026],
    [0.6359, 0.3225, 0.5519, 0.2747],
  ],
}

t.test('each species has 50 records with the published means and standard deviations', async (t) => {
  const bySpecies = Map.groupBy(irises, ({ species }) => String(species))
  t.strictSame([...bySpecies.keys()], Object.keys(published))
  for (const [species, flowers] of bySpecies) {
    t.equal(flowers.length, 50, species)
    const columns = measures.map((measure) => flowers.map((flower) => Number(flower[measure])))
    const rounded = [columns.map((values) => round(mean(values))), columns.map((values) => round(deviation(values)))]
    t.strictSame(rounded, published[species], species)
  }
})

function round(value: number): number {
  return Math.round(value * 10_000) / 10_000
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function deviation(values: readonly number[]): number {
  const middle = mean(values)
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1))
}
