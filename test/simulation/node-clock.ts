import type { Clock, Timer } from '../../src/engine/clock.ts'
import type { Body, World } from './world.ts'

/** 2026-01-01: where the world's time begins on the database's clock. */
export const EPOCH = 1_767_225_600_000

/**
 * A node's clock: its own idea of the date, which may be minutes off until the database has told it the time, and a monotonic
 * clock that begins anywhere. Its timers come a little late, as timers do, and are its own: they end with it.
 */
export class NodeClock implements Clock {
  readonly #world: World
  readonly #body: Body
  readonly #began: number
  readonly #skewMs: number
  #offset: number
  #latest = 0

  constructor(world: World, body: Body, skewMs: number) {
    this.#world = world
    this.#body = body
    this.#began = world.random.between(-1e9, 1e9)
    this.#skewMs = skewMs
    this.#offset = EPOCH + skewMs - this.#began
  }

  now(): number {
    const now = Math.floor(this.monotonic() + this.#offset)
    if (now > this.#latest) this.#latest = now
    return this.#latest
  }

  monotonic(): number {
    return this.#world.now + this.#began
  }

  synchronise(databaseNow: number, at: number): void {
    this.#offset = databaseNow - at
  }

  after(delayMs: number, callback: () => void): Timer {
    const { random } = this.#world
    const late = random.chance(0.1) ? random.between(0, 15) : random.between(0, 0.5)
    return this.#world.after(Math.max(1, delayMs) + late, this.#body, callback)
  }

  soon(callback: () => void): Timer {
    return this.#world.after(0, this.#body, callback)
  }

  newId(): string {
    return idAt(EPOCH + this.#skewMs + this.#world.now, this.#world)
  }

  random(): number {
    return this.#world.random.next()
  }
}

/** A UUIDv7 of the world's dice. */
export function idAt(at: number, { random }: World): string {
  const hex = (digits: number): string => Array.from({ length: digits }, () => random.below(16).toString(16)).join('')
  const time = Math.floor(at).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(12)}`
}
