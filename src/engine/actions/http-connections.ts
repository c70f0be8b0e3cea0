import { lookup as resolveName } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, buildConnector, DecoratorHandler, type Dispatcher } from 'undici'
import { ActionError } from './action.ts'

/** What http_request may reach beside public addresses. */
export interface HttpOptions {
  /** Every address, the machine's own included. */
  readonly allowPrivateNetwork?: boolean
  /** "host:port" as URLs name them; whatever they resolve to. */
  readonly allowedHosts?: readonly string[]
}

/** Bounds on a server's answer: ms of silence, bytes. */
interface Limits {
  readonly headersTimeout?: number
  readonly bodyTimeout?: number
  readonly maxResponseSize?: number
}

/** undici connects IPv4 and IPv6 addresses in turn; this bounds all of it. */
const connectTimeoutMs = 10_000

/**
 * A pool of connections to where http_request may go. The rule is applied where sockets are made, so that it holds for
 * literal addresses in any notation, for redirects, and for names that resolve differently the second time: the
 * address that was checked is the one connected to.
 */
export function openConnections(
  { allowPrivateNetwork = false, allowedHosts = [] }: HttpOptions,
  limits: Limits = {},
): Agent {
  const anywhere = buildConnector({ timeout: connectTimeoutMs, allowH2: false })
  const publicOnly = publicConnector()
  const allowed = new Set(allowedHosts.map(normalizedHost))
  return new Agent({
    ...limits,
    connect(options, callback) {
      const host = `${options.hostname.toLowerCase()}:${options.port || (options.protocol === 'https:' ? 443 : 80)}`
      const connect = allowPrivateNetwork || allowed.has(host) ? anywhere : publicOnly
      connect(options, callback)
    },
  })
}

/** A pool as one attempt uses it. */
export interface GatedConnections {
  readonly dispatcher: Dispatcher
  /** What `mayPerform` threw. It comes out of undici too, but among errors of its own and sometimes wrapped. */
  readonly refusal: { readonly reason: unknown } | undefined
}

/** The pool, with `mayPerform` asked whenever a request has its socket and nothing of it was sent yet. */
export function gated(connections: Dispatcher, mayPerform: () => void): GatedConnections {
  let refusal: GatedConnections['refusal']
  const ask = () => {
    try {
      mayPerform()
    } catch (reason) {
      refusal = { reason }
      throw reason
    }
  }
  return {
    dispatcher: connections.compose((dispatch) => (options, handler) => dispatch(options, new Gate(handler, ask))),
    get refusal() {
      return refusal
    },
  }
}

class Gate extends DecoratorHandler implements Dispatcher.DispatchHandler {
  readonly #handler: Dispatcher.DispatchHandler
  readonly #mayPerform: () => void

  constructor(handler: Dispatcher.DispatchHandler, mayPerform: () => void) {
    super(handler)
    this.#handler = handler
    this.#mayPerform = mayPerform
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#mayPerform()
    this.#handler.onRequestStart?.(controller, context)
  }
}

/** Whether an address belongs to the public internet: no private, loopback, link-local, reserved or tunnelled one. */
export function isPublicAddress(address: string): boolean {
  if (!isIP(address)) return false
  // process() takes an IPv4 address out of its IPv6 wrapping (::ffff:127.0.0.1).
  const ip = ipaddr.process(address)
  if (ip.range() !== 'unicast') return false
  // Of IPv6 only 2000::/3 is handed out; ipaddr.js calls everything that it does not know unicast, ::127.0.0.1 too.
  return ip instanceof ipaddr.IPv4 || ip.match(globalUnicast)
}
const globalUnicast = ipaddr.IPv6.parseCIDR('2000::/3')

function publicConnector(): buildConnector.connector {
  const connect = buildConnector({
    timeout: connectTimeoutMs,
    allowH2: false,
    lookup: publicLookup,
  } as buildConnector.BuildOptions)
  return (options, callback) => {
    // Name resolution is skipped for literal addresses, so they are checked here.
    if (isIP(options.hostname) && !isPublicAddress(options.hostname)) return callback(blocked(options.hostname), null)
    connect(options, (error, socket) => {
      if (error) return callback(error, null)
      if (isPublicAddress(socket.remoteAddress ?? '')) return callback(null, socket)
      socket.destroy()
      callback(blocked(options.hostname), null)
    })
  }
}

/** One private address among the answers is enough to refuse: such a name is a mistake or a trick. */
const publicLookup: LookupFunction = (hostname, options, callback) => {
  resolveName(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '')
    if (!addresses.every(({ address }) => isPublicAddress(address))) return callback(blocked(hostname), '')
    if (options.all) return callback(null, addresses)
    const [first] = addresses
    callback(null, first?.address ?? '', first?.family)
  })
}

function blocked(host: string): ActionError {
  const message = `${host} is not a public address; the operator can allow it under "http" in the file that CAIRN_CONFIG names`
  return new ActionError('ConnectionError', message, { retryable: false, details: { reason: 'private_network', host } })
}

/** "[::1]:80" and "LOCALHOST:80" as undici's connector names them; the port stays even when it is the default one. */
function normalizedHost(entry: string): string {
  const at = entry.lastIndexOf(':')
  const hostname = new URL(`http://${entry.slice(0, at)}`).hostname.replace(/^\[|\]$/g, '')
  return `${hostname}:${entry.slice(at + 1)}`
}
