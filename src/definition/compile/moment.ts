import { Type } from 'typebox'
import type { JsonObject } from '../json.ts'
import { durationMs } from '../schema-fields.ts'
import type { Template } from '../template.ts'
import type { StepCompiler } from './step-compiler.ts'

/** A time to come: milliseconds from now, or a time (RFC 3339, or ms since 1970). */
export interface Moment {
  readonly kind: 'durationMs' | 'until'
  readonly value: Template
}

/** The two fields of which one says when. */
export const momentFields = {
  durationMs: Type.Optional(
    Type.Union([durationMs('So long', { minimum: 0 }), Type.String({ minLength: 1 })], {
      description: 'How long, in milliseconds; a template may give it',
      examples: [60_000, '{{ input.delayMs }}'],
    }),
  ),
  until: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Until when: a time in RFC 3339, or a template that gives one or ms since 1970',
      examples: ['2027-01-01T00:00:00Z', '{{ steps.order.output.shipAt }}'],
    }),
  ),
}

/** The moment that the fields at `keys` of config say; null, and a fault, when they say none. `what` has them. */
export function compileMoment(
  compiler: StepCompiler,
  { durationMs, until }: JsonObject,
  keys: readonly string[],
  what: string,
): Moment | null {
  const kind = durationMs === undefined ? 'until' : 'durationMs'
  if ((durationMs === undefined) === (until === undefined))
    compiler.faultAt(
      [...keys, durationMs === undefined ? 'durationMs' : 'until'],
      `${what} has either durationMs or until`,
    )
  if (typeof durationMs === 'string' && !durationMs.includes('{{'))
    compiler.faultAt([...keys, 'durationMs'], 'is a text: write a number, or an expression in {{ }}')
  if (typeof until === 'string' && !until.includes('{{') && Number.isNaN(Date.parse(until)))
    compiler.faultAt([...keys, 'until'], 'is no time: write it like 2027-01-01T00:00:00Z')
  const value = compiler.template(durationMs ?? until, [...keys, kind])
  return value === null ? null : { kind, value }
}
