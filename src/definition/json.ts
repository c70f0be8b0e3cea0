/** A JSON value as it came over the wire: plain data, no prototypes to trust, keys in their original order. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** A JSON object. */
export type JsonObject = { [key: string]: Json }
