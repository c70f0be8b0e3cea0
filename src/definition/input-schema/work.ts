/** An input takes more work to check than one input may. */
export class TooMuchWork extends Error {
  override readonly name = 'TooMuchWork'
}

/** Units of work for one input: a unit is a state of a pattern; a schema applied once takes 20. */
const UNITS = 10_000_000

/** The budget of one check. Schemas and inputs come from outside, and a short schema can ask for years of work. */
export class Work {
  #left = UNITS

  begin(): void {
    this.#left = UNITS
  }

  readonly spend = (units: number): void => {
    this.#left -= units
    if (this.#left < 0)
      throw new TooMuchWork('takes too much work to be checked: simplify the inputSchema or send less')
  }
}
