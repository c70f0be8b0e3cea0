import { ExpressionError, type Scope, type StepView } from '../../src/definition/expression.ts'
import type { Json } from '../../src/definition/json.ts'

/** What a test hands to an evaluation. */
export interface World {
  readonly input?: Json
  readonly variables?: Json
  readonly data?: Json
  readonly execution?: Json
  readonly steps?: { readonly [id: string]: StepView }
  readonly locals?: { readonly [name: string]: Json }
  readonly secrets?: { readonly [name: string]: string }
}

export function scopeOf({ steps = {}, locals = {}, secrets = {}, ...roots }: World = {}): Scope {
  return {
    root: (name) => roots[name],
    step: (id) => steps[id],
    local: (name) => locals[name],
    hasLocal: (name) => Object.hasOwn(locals, name),
    secret(name) {
      const secret = secrets[name]
      if (secret === undefined) throw new ExpressionError(`secrets.${name} is not set`)
      return secret
    },
  }
}
