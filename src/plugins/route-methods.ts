import type { RouteOptions } from 'fastify'

/** What addresses there are and which methods they take: so that a wrong method is not mistaken for a wrong address. */
export class RouteMethods {
  readonly #routes = new Map<string, { pattern: RegExp; methods: Set<string> }>()

  /** Notes a route; a parameter stands for one segment. */
  add({ url, method }: Pick<RouteOptions, 'url' | 'method'>): void {
    if (url.includes('*')) return
    const pattern = url.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/:[^/]+/g, '[^/]+')
    const route = this.#routes.get(url) ?? { pattern: new RegExp(`^${pattern}$`), methods: new Set() }
    for (const one of [method].flat()) route.methods.add(one)
    this.#routes.set(url, route)
  }

  /** The methods that the address takes, sorted; none when there is no such address. */
  of(path: string): string[] {
    const taken = new Set<string>()
    for (const { pattern, methods } of this.#routes.values())
      if (pattern.test(path)) for (const method of methods) taken.add(method)
    return [...taken].sort()
  }
}
