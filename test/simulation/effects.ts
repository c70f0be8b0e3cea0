import { Type } from 'typebox'
import type { Json } from '../../src/definition/json.ts'
import {
  type Action,
  type ActionContext,
  ActionError,
  type ActionResult,
  defineAction,
} from '../../src/engine/actions/action.ts'
import type { Body, World } from './world.ts'

/** How one attempt ends: by (step, attempt) alone, so that a disturbed run sees what an undisturbed one would. */
export type ScriptedOutcome = 'ok' | 'retryable' | 'fatal' | 'slow'

/** The config of the action `act`. */
export interface Script {
  /** By attempt; the last one goes for all that follow. */
  readonly outcomes: readonly ScriptedOutcome[]
  /** How long an attempt takes, ms; 0: it answers without a promise. */
  readonly delayMs: number
  readonly value?: Json
  /** What it calls, which may be away for a while: then the attempt fails, whatever the script says. */
  readonly target?: string
  /** The key of its rate limit. */
  readonly limited?: string
}

export const scriptSchema = Type.Object(
  {
    outcomes: Type.Array(Type.Enum(['ok', 'retryable', 'fatal', 'slow'])),
    delayMs: Type.Number(),
    value: Type.Optional(Type.Unknown()),
    target: Type.Optional(Type.String()),
    limited: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

/** Longer than any timeout that the definitions have. */
const SLOW_MS = 3_000

/** What the attempt comes to. Throws what the action throws; `slow` ends well, if anybody waits for it. */
export function scripted({ outcomes, value }: Script, path: string, attempt: number): ActionResult {
  const outcome = outcomes[Math.min(attempt, outcomes.length) - 1]!
  if (outcome === 'retryable') throw new ActionError('ConnectionError', `attempt ${attempt} of ${path} fails`)
  if (outcome === 'fatal') throw new ActionError('ValidationError', `${path} fails`, { retryable: false })
  return { output: { at: path, of: fingerprintOf(value ?? null) } }
}

/** What an attempt did to the world. */
export interface Effect {
  readonly executionId: string
  readonly path: string
  readonly attempt: number
  readonly key: string
  readonly target: string | null
  readonly limited: string | null
}

export const targetNames = ['http:one', 'http:two'] as const

/** What actions call, and whether it is there. */
export class Targets {
  readonly away = new Set<string>()

  /** Throws while the target is away. */
  call(target: string | undefined): void {
    if (target !== undefined && this.away.has(target)) throw new ActionError('ConnectionError', `${target} is away`)
  }
}

/** The action `act` on one node. `onEffect` hears of each effect at the moment in which it happens. */
export function scriptedAction(world: World, body: Body, targets: Targets, onEffect: (effect: Effect) => void): Action {
  const effect = ({ executionId, path, attempt, idempotencyKey: key }: ActionContext, script: Script): void => {
    const { target, limited } = script
    world.note(`    effect ${path} attempt ${attempt}`)
    onEffect({ executionId, path, attempt, key, target: target ?? null, limited: limited ?? null })
  }
  return defineAction({
    type: 'act',
    configSchema: scriptSchema,
    target: (config) => config.target ?? null,
    perform(config, context): ActionResult | Promise<ActionResult> {
      const script = config as Script
      const { path, attempt } = context
      const isSlow = script.outcomes[Math.min(attempt, script.outcomes.length) - 1] === 'slow'
      if (script.delayMs === 0 && !isSlow) {
        effect(context, script)
        targets.call(script.target)
        return scripted(script, path, attempt)
      }
      return new Promise((resolve, reject) => {
        context.signal.addEventListener('abort', () => reject(context.signal.reason as Error), { once: true })
        // As http_request does: the lease is asked again when the connection is there.
        world.after(world.random.between(0, 3), body, () => {
          try {
            context.mayPerform()
          } catch (error) {
            return reject(error as Error)
          }
          effect(context, script)
          world.after(isSlow ? SLOW_MS : script.delayMs, body, () => {
            try {
              targets.call(script.target)
              resolve(scripted(script, path, attempt))
            } catch (error) {
              reject(error as Error)
            }
          })
        })
      })
    },
  })
}

/** What another run has otherwise: ids, who decided when, which signal it was, how many got one, which failure came first. */
const chance: ReadonlySet<string> = new Set(['executionId', 'by', 'comment', 'decidedAt', 'news', 'delivered', 'error'])

/** Its JSON but for what chance has put there. */
export const jsonOf = (value: Json): string =>
  JSON.stringify(value, (key, inside) => (chance.has(key) ? 'something' : inside))

/** FNV-1a over the value's JSON: enough to tell that another value came. */
function fingerprintOf(value: Json): string {
  const text = jsonOf(value)
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash >>> 0).toString(36)
}
