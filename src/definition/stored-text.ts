/*
 * Text that ends in a text column, or is compared with one. PostgreSQL cannot hold U+0000 there, and half a surrogate pair, which is no
 * character, would become U+FFFD: texts that differ would be one.
 */

/** JSON Schema's pattern of it, for engines that take a surrogate pair for one character (flag u) and for those that take it for two. */
export const storedPattern = '^(?:[^\\u0000\\ud800-\\udfff]|[\\ud800-\\udbff][\\udc00-\\udfff])*$'

/** What is said of a text that does not fit the pattern. */
export const storedMessage = 'may not hold U+0000 or half a surrogate pair (U+D800 to U+DFFF)'

/** Whether a text that is known only at run time fits the pattern. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed()
