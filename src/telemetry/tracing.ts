/*
 * Loads the OpenTelemetry SDK, and only when the standard variables ask for traces: it costs 0.4 s and 60 MB. Import this file
 * before everything else (main.ts does), or preload it: `node --import ./src/telemetry/tracing.ts`. It works synchronously,
 * because http, pg and undici can be instrumented only before anybody else loads them.
 */
import { createRequire } from 'node:module'
import { SpanIds } from './span-ids.ts'

export interface Tracing {
  /** Decides the ids of the spans that spans.ts makes. */
  readonly ids: SpanIds
  /** Sends what is left, for at most 3 s: a collector that does not answer holds up nobody's exit. Never rejects. */
  shutdown(): Promise<void>
}

const SHUTDOWN_MS = 3000

/** Whether traces are wanted: an OTLP endpoint or an exporter is named, and the SDK is not disabled. */
export function isTracingWanted(environment: NodeJS.ProcessEnv): boolean {
  const exporter = environment.OTEL_TRACES_EXPORTER
  const endpoint = environment.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || environment.OTEL_EXPORTER_OTLP_ENDPOINT
  const isWanted = exporter ? exporter !== 'none' : Boolean(endpoint)
  return isWanted && environment.OTEL_SDK_DISABLED?.toLowerCase() !== 'true'
}

/** null: traces are off, and nothing was loaded. */
export const tracing: Tracing | null = isTracingWanted(process.env) ? startTracing() : null

function startTracing(): Tracing {
  // The SDK would look for a local collector for whatever is not switched off. Metrics are at /metrics, logs go to stdout.
  process.env.OTEL_METRICS_EXPORTER ||= 'none'
  process.env.OTEL_LOGS_EXPORTER ||= 'none'
  process.env.OTEL_SERVICE_NAME ||= 'cairn'

  const require = createRequire(import.meta.url)
  const { NodeSDK } = require('@opentelemetry/sdk-node') as typeof import('@opentelemetry/sdk-node')
  const { HttpInstrumentation } =
    require('@opentelemetry/instrumentation-http') as typeof import('@opentelemetry/instrumentation-http')
  const { PgInstrumentation } =
    require('@opentelemetry/instrumentation-pg') as typeof import('@opentelemetry/instrumentation-pg')
  const { UndiciInstrumentation } =
    require('@opentelemetry/instrumentation-undici') as typeof import('@opentelemetry/instrumentation-undici')

  const ids = new SpanIds()
  const sdk = new NodeSDK({
    idGenerator: ids,
    instrumentations: [
      new HttpInstrumentation({
        // Probes and scrapes would drown everything else. Requests of actions are undici's.
        ignoreIncomingRequestHook: ({ url }) => /^\/(health\/|metrics)/.test(url ?? ''),
        disableOutgoingRequestInstrumentation: true,
      }),
      // Only below a span: flushes and polls belong to no request.
      new PgInstrumentation({ requireParentSpan: true, enhancedDatabaseReporting: false }),
      // http_request sends the trace context of its own span; a second header would make both invalid.
      new UndiciInstrumentation({
        requireParentforSpans: true,
        ignoreRequestHook: ({ headers }) => hasTraceparent(headers),
      }),
    ],
  })
  sdk.start()

  let ended: Promise<void> | undefined
  return {
    ids,
    shutdown() {
      ended ??= Promise.race([sdk.shutdown().catch(() => {}), timeout(SHUTDOWN_MS)])
      return ended
    },
  }
}

/** undici gives the headers as text of lines, or as a list of names and values in turn. */
function hasTraceparent(headers: string | (string | string[])[]): boolean {
  if (typeof headers === 'string') return /^traceparent:/im.test(headers)
  return headers.some((name, i) => i % 2 === 0 && String(name).toLowerCase() === 'traceparent')
}

const timeout = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())
