import { Type } from 'typebox'
import type { ActionShape } from '../../src/definition/plan.ts'

const shape = (type: string, configSchema: object, rest: Partial<ActionShape> = {}): [string, ActionShape] => [
  type,
  { type, configSchema, secretFields: [], literalFields: [], ...rest },
]

/** Actions for tests of the compiler: the kinds of schemas that real ones have. */
export const actions: ReadonlyMap<string, ActionShape> = new Map([
  shape(
    'echo',
    Type.Object(
      {
        value: Type.Optional(Type.Unknown()),
        delayMs: Type.Optional(Type.Integer({ minimum: 0 })),
        fail: Type.Optional(
          Type.Union([
            Type.Boolean(),
            Type.String(),
            Type.Object(
              { type: Type.String(), retryable: Type.Optional(Type.Boolean()) },
              { additionalProperties: false },
            ),
          ]),
        ),
        mode: Type.Optional(Type.Enum(['fast', 'slow'])),
      },
      { additionalProperties: false },
    ),
  ),
  shape(
    'http_request',
    Type.Object(
      {
        url: Type.String({ format: 'uri', maxLength: 50 }),
        headers: Type.Optional(Type.Record(Type.String(), Type.String())),
        expectedStatus: Type.Optional(Type.Array(Type.Union([Type.Integer(), Type.String({ pattern: '^[1-5]xx$' })]))),
      },
      { additionalProperties: false },
    ),
    { secretFields: ['/headers'] },
  ),
  shape(
    'database_query',
    Type.Object(
      { query: Type.String(), parameters: Type.Optional(Type.Array(Type.Unknown())) },
      { additionalProperties: false },
    ),
    { literalFields: ['/query'] },
  ),
])
