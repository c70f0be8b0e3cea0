import { type TSchema, Type } from 'typebox'

interface AnswerOptions {
  /** Header name → what it says. */
  readonly headers?: Readonly<Record<string, string>>
  readonly mediaType?: string
}

/** What every answer carries. */
export const requestIdHeader = {
  'x-request-id': Type.String({ description: "The request's id: the caller's, or a new one" }),
}

/** One successful answer of a route, for its `schema.response`. */
export function answer(
  description: string,
  schema: TSchema,
  { headers = {}, mediaType = 'application/json' }: AnswerOptions = {},
) {
  return { description, headers: describeHeaders(headers), content: { [mediaType]: { schema } } }
}

/** An answer without a body. */
export const emptyAnswer = (description: string) => ({ description, headers: requestIdHeader, type: 'null' })

const describeHeaders = (headers: Readonly<Record<string, string>>) => ({
  ...Object.fromEntries(Object.entries(headers).map(([name, description]) => [name, Type.String({ description })])),
  ...requestIdHeader,
})
