import type { Run } from './run.ts'
import type { Value } from './value.ts'

/** An arrow function handed to a method, bound to the run. It lives as long as the call. */
export type Callback = (first?: Value, second?: Value, third?: Value, fourth?: Value) => Value

/** What a method or function does. `self` is what a method is called on. It never changes `self` or the arguments. */
export type Perform<Self> = (run: Run, self: Self, args: readonly Value[]) => Value
export type PerformWith<Self> = (run: Run, self: Self, callback: Callback, args: readonly Value[]) => Value
type PerformWithOptional<Self> = (run: Run, self: Self, callback: Callback | undefined, args: readonly Value[]) => Value

/** A row of the table of callables. `at` is the argument that holds the callback; `args` leaves it out. */
export type Callable<Self = unknown> =
  | { readonly kind: 'plain'; readonly perform: Perform<Self> }
  | { readonly kind: 'callback'; readonly at: number; readonly perform: PerformWith<Self> }
  | { readonly kind: 'optional callback'; readonly at: number; readonly perform: PerformWithOptional<Self> }

export type Callables<Self = unknown> = ReadonlyMap<string, Callable<Self>>

export const plain = <Self>(perform: Perform<Self>): Callable<Self> => ({ kind: 'plain', perform })

export const withCallback = <Self>(perform: PerformWith<Self>, at = 0): Callable<Self> => ({
  kind: 'callback',
  at,
  perform,
})

export const withOptionalCallback = <Self>(perform: PerformWithOptional<Self>, at = 0): Callable<Self> => ({
  kind: 'optional callback',
  at,
  perform,
})

/** A table from an object literal. */
export const table = <Self>(rows: { readonly [name: string]: Callable<Self> }): Callables<Self> =>
  new Map(Object.entries(rows))
