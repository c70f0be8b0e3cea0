import t from 'tap'
import { didYouMean, nearest } from '../../src/definition/nearest.ts'

t.test('a typing mistake leads to the word that was meant', async (t) => {
  const words = ['map', 'filter', 'variables', 'maxAttempts', 'fetch-data']
  const meant = {
    mpa: 'map',
    fliter: 'filter',
    varialbes: 'variables',
    maxAttemps: 'maxAttempts',
    MaxAttempts: 'maxAttempts',
    'fetch-dat': 'fetch-data',
    fetchdata: 'fetch-data',
  }
  for (const [word, guess] of Object.entries(meant)) t.equal(nearest(word, words), guess, word)
})

t.test('a word that is far from all leads nowhere', async (t) => {
  for (const word of ['', 'x', 'retry', 'mist', 'x'.repeat(1_000)])
    t.equal(nearest(word, ['map', 'filter', 'variables', 'x'.repeat(1_001)]), undefined, word)
  t.equal(didYouMean('nothing', ['else']), '')
  t.equal(didYouMean('mpa', ['map']), ' Did you mean "map"?')
})
