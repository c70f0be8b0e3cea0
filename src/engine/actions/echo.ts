import { Type } from 'typebox'
import type { Json } from '../../definition/json.ts'
import { type ActionContext, ActionError, defineAction } from './action.ts'

const Failure = Type.Object(
  {
    type: Type.Optional(Type.String({ minLength: 1, description: 'Error type; EchoError by default' })),
    message: Type.Optional(Type.String()),
    retryable: Type.Optional(Type.Boolean()),
    untilAttempt: Type.Optional(
      Type.Integer({
        minimum: 1,
        description: 'The first attempt that succeeds; all before it fail. Left out: all fail',
      }),
    ),
  },
  { additionalProperties: false },
)

/** Longer delays than this overflow Node's timers. */
const maxDelayMs = 2 ** 31 - 1

const EchoConfig = Type.Object(
  {
    value: Type.Optional(Type.Unknown({ description: "The output; the step's `data` by default" })),
    delayMs: Type.Optional(Type.Integer({ minimum: 0, maximum: maxDelayMs, description: 'Wait this long first' })),
    fail: Type.Optional(
      Type.Union([Type.Boolean(), Type.String({ description: 'Fail with this message' }), Failure], {
        description: 'Fail instead of returning the value',
      }),
    ),
  },
  { additionalProperties: false },
)
type EchoConfig = Type.Static<typeof EchoConfig>

/** Returns a value, perhaps later, perhaps not: for trying out, tests and benchmarks. */
export const echo = defineAction({
  type: 'echo',
  configSchema: EchoConfig,
  perform(config, context) {
    return config.delayMs
      ? after(config.delayMs, context.signal, () => answer(config, context))
      : answer(config, context)
  },
})

function answer({ value, fail }: EchoConfig, context: ActionContext): { output: Json } {
  context.mayPerform()
  const failure = typeof fail === 'object' ? fail : { message: typeof fail === 'string' ? fail : undefined }
  const { type = 'EchoError', message = 'echo was told to fail', retryable, untilAttempt = Infinity } = failure
  if (fail && context.attempt < untilAttempt) throw new ActionError(type, message, { retryable })
  return { output: value === undefined ? context.data : (value as Json) }
}

function after<T>(delayMs: number, signal: AbortSignal, then: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      try {
        resolve(then())
      } catch (error) {
        reject(error)
      }
    }, delayMs)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
  })
}
