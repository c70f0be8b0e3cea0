/** The pointer to a member or element below another place (RFC 6901). */
export const pointerTo = (parent: string, token: string | number): string =>
  typeof token === 'number' ? `${parent}/${token}` : `${parent}/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`

/** The tokens of a pointer, unescaped. */
export const tokensOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'))

/** Whether the pointer names the place itself or something below it. */
export const isWithin = (pointer: string, place: string): boolean =>
  pointer === place || pointer.startsWith(`${place}/`)
