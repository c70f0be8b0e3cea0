import type { Json, JsonObject } from '../json.ts'
import { pointerTo } from '../json-pointer.ts'
import type { Concurrency } from '../schema-fields.ts'
import { type OnLimit, onLimits, type SlotPlan, sharedScope } from '../slot.ts'
import type { Compilation, Draft, LiteralSlot } from './draft.ts'
import { templateAt } from './template-at.ts'

/** A slot as a definition has it, and where each part of it is written. */
export interface SlotSource {
  /** null: the step's own, or the workflow's. */
  readonly scope: string | null
  readonly key: Json | undefined
  readonly keyPointer: string
  readonly limit: Json
  readonly limitPointer: string
  readonly onLimit: OnLimit
  readonly waitTimeoutMs: Json | undefined
}

/** The `concurrency` of a step or of the workflow; null without one. What does not fit the schema is a fault already. */
export function compileConcurrency({ concurrency }: JsonObject, draft: Draft, all: Compilation): SlotPlan | null {
  if (typeof concurrency !== 'object' || concurrency === null || Array.isArray(concurrency)) return null
  const given = concurrency as Partial<Concurrency> & JsonObject
  const pointer = pointerTo(draft.pointer, 'concurrency')
  const source: SlotSource = {
    scope: typeof given.scope === 'string' ? sharedScope(given.scope) : null,
    key: given.key,
    keyPointer: pointerTo(pointer, 'key'),
    limit: given.limit ?? 1,
    limitPointer: pointerTo(pointer, 'limit'),
    onLimit: onLimits.find((one) => one === given.onLimit) ?? 'queue',
    waitTimeoutMs: given.waitTimeoutMs,
  }
  const { onLimit } = source
  if (source.waitTimeoutMs !== undefined && (onLimit === 'reject' || onLimit === 'cancel_new'))
    all.faults.push({
      pointer: pointerTo(pointer, 'waitTimeoutMs'),
      message: `has no meaning with onLimit "${onLimit}", which never waits: leave one of them out`,
    })
  return compileSlot(source, draft, all)
}

/** What a step must have before it begins. One that would wait for itself is a fault, as far as that can be read off. */
export function compileSlot(source: SlotSource, draft: Draft, all: Compilation): SlotPlan {
  const { scope, key, keyPointer, limit, limitPointer, onLimit, waitTimeoutMs } = source
  const literal = literalOf(source)
  if (literal !== null) {
    draft.slot = literal
    const around = holdersAround(draft, literal)
    if (around.length >= literal.limit) {
      const message = `would wait for itself: ${around.map(nameOf).join(' and ')} around it holds ${JSON.stringify(literal.key)} already`
      all.faults.push({ pointer: keyPointer, message })
    }
  }
  return {
    scope,
    key: key === undefined ? null : templateAt(key, keyPointer, draft, all),
    limit: templateAt(limit, limitPointer, draft, all),
    onLimit,
    waitTimeoutMs: typeof waitTimeoutMs === 'number' ? waitTimeoutMs : null,
  }
}

const nameOf = ({ id }: Draft): string => (id === '' ? 'the workflow' : `step "${id}"`)

/** Only what is written out in full can be compared with others; scopes of their own never meet. */
function literalOf({ scope, key = '', limit }: SlotSource): LiteralSlot | null {
  if (scope === null || typeof key !== 'string' || key.includes('{{') || typeof limit !== 'number') return null
  return { scope, key, limit }
}

function holdersAround(draft: Draft, { scope, key }: LiteralSlot): Draft[] {
  const around: Draft[] = []
  for (let inner = draft; inner.parent !== null; inner = inner.parent) {
    // What it takes back is over, and holds nothing any more.
    if (inner.plan.type === 'sequential' && inner.plan.body?.isAftermath) break
    const { slot } = inner.parent
    if (slot !== undefined && slot.scope === scope && slot.key === key) around.push(inner.parent)
  }
  return around
}
