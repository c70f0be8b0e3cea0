/** Chance that can be repeated: the same seed gives the same choices (mulberry32, public domain). */
export interface Random {
  /** In [0, 1). */
  readonly next: () => number
  /** An integer from `least` to `most`. */
  between(least: number, most: number): number
  of<Item>(items: readonly Item[]): Item
}

export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    between: (least, most) => least + Math.floor(next() * (most - least + 1)),
    of: (items) => items[Math.floor(next() * items.length)]!,
  }
}
