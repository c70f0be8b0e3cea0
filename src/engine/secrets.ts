import type { Json } from '../definition/json.ts'

const mark = '[redacted]'

/**
 * Shorter values are not cut out: they stand in ordinary text by chance, and cutting them would destroy data without
 * hiding anything that could not be guessed.
 */
const shortest = 4

/** The secrets that definitions may use by name, and the knife that keeps them out of everything that is recorded. */
export class Secrets {
  readonly #values: ReadonlyMap<string, string>
  readonly #pattern: RegExp | null

  /** `hidden` are values without a name that are cut out as well: agents' keys, passwords of data sources. */
  constructor(values: Readonly<Record<string, string>> = {}, hidden: Iterable<string> = []) {
    this.#values = new Map(Object.entries(values))
    this.#pattern = patternOf(new Set([...this.#values.values(), ...hidden]))
  }

  get(name: string): string | undefined {
    return this.#values.get(name)
  }

  /** There is nothing to cut out of anything. */
  get areNone(): boolean {
    return this.#pattern === null
  }

  names(): string[] {
    return [...this.#values.keys()]
  }

  /**
   * The same JSON without the values of secrets in its strings and keys, be they written plainly, URL-encoded, in base64
   * or escaped as in JSON. What holds none is returned as it is, not copied. Numbers are left alone.
   */
  redact<T extends Json>(json: T): T {
    return this.#pattern ? (cut(json, this.#pattern) as T) : json
  }

  /** `redact` for a text. */
  redactText(text: string): string {
    return this.#pattern ? text.replace(this.#pattern, mark) : text
  }
}

function cut(json: Json, pattern: RegExp): Json {
  if (typeof json === 'string') return json.replace(pattern, mark)
  if (json === null || typeof json !== 'object') return json
  return Array.isArray(json) ? cutArray(json, pattern) : cutObject(json, pattern)
}

function cutArray(array: Json[], pattern: RegExp): Json[] {
  let copy: Json[] | undefined
  for (let i = 0; i < array.length; i++) {
    const item = array[i] as Json
    const clean = cut(item, pattern)
    if (clean !== item) {
      copy ??= array.slice()
      copy[i] = clean
    }
  }
  return copy ?? array
}

function cutObject(object: { [key: string]: Json }, pattern: RegExp): { [key: string]: Json } {
  const entries = Object.entries(object)
  const clean = new Map<string, Json>()
  let changed = false
  for (const [key, value] of entries) {
    const cleanKey = cut(key, pattern) as string
    const cleanValue = cut(value, pattern)
    changed ||= cleanKey !== key || cleanValue !== value
    clean.set(
      cleanKey === key ? key : unused(cleanKey, (name) => clean.has(name) || Object.hasOwn(object, name)),
      cleanValue,
    )
  }
  return changed ? Object.fromEntries(clean) : object
}

/** Two keys that differ only in a secret stay two keys. */
function unused(name: string, taken: (name: string) => boolean): string {
  let free = name
  for (let count = 2; taken(free); count++) free = `${name} ${count}`
  return free
}

function patternOf(values: Iterable<string>): RegExp | null {
  const forms = new Set<string>()
  for (const value of values) {
    if (value.length >= shortest) for (const form of formsOf(value)) forms.add(form)
  }
  if (forms.size === 0) return null
  // The longest first: a form that begins with another one must not leave its tail behind.
  const longestFirst = [...forms].sort((a, b) => b.length - a.length)
  return new RegExp(longestFirst.map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g')
}

/** Every way in which a value may stand in a text. */
function* formsOf(value: string): Iterable<string> {
  yield value
  const escaped = JSON.stringify(value).slice(1, -1)
  yield escaped
  yield JSON.stringify(escaped).slice(1, -1)
  const wellFormed = value.toWellFormed()
  const encoded = encodeURIComponent(wellFormed)
  const form = new URLSearchParams([['', wellFormed]]).toString().slice(1)
  const strict = encoded.replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  for (const url of [encoded, form, strict, encodeURI(wellFormed)]) {
    yield url
    yield url.replace(/%[0-9A-F]{2}/g, (hex) => hex.toLowerCase())
  }
  yield* base64FormsOf(Buffer.from(value))
}

/**
 * In the base64 of a longer text (`user:password`) a value looks different at each of three alignments, and its first
 * and last characters mix with its neighbours. What stands between them is cut out where it is long enough to be telling.
 */
function* base64FormsOf(bytes: Buffer): Iterable<string> {
  for (const encoding of ['base64', 'base64url'] as const) {
    yield bytes.toString(encoding).replace(/=+$/, '')
    for (const before of [0, 1, 2]) {
      const whole = Buffer.concat([Buffer.alloc(before), bytes])
        .toString(encoding)
        .replace(/=+$/, '')
      const own = whole.slice(Math.ceil((before * 4) / 3), Math.floor(((before + bytes.length) * 8) / 6))
      if (own.length >= 8) yield own
    }
  }
}

/** Where credentials stand that have no name: to be hidden beside the secrets. */
export interface Credentials {
  readonly agents?: Readonly<
    Record<string, { readonly apiKey?: string; readonly headers?: Readonly<Record<string, string>> }>
  >
  readonly dataSources?: Readonly<Record<string, { readonly url: string }>>
  readonly databaseUrls?: readonly (string | null)[]
}

/** The values in them that nobody may see: keys, headers, and the passwords of URLs. */
export function credentialsIn({ agents = {}, dataSources = {}, databaseUrls = [] }: Credentials): string[] {
  const keys = Object.values(agents).flatMap(({ apiKey, headers = {} }) => [apiKey ?? '', ...Object.values(headers)])
  const urls = [...Object.values(dataSources).map(({ url }) => url), ...databaseUrls.filter((url) => url !== null)]
  return [...keys, ...urls.flatMap(passwordsIn)].filter((value) => value !== '')
}

function passwordsIn(url: string): string[] {
  const parsed = URL.parse(url)
  if (!parsed) return []
  return [parsed.password, safelyDecoded(parsed.password), parsed.searchParams.get('password') ?? '']
}

function safelyDecoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
