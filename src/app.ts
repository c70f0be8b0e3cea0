import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify'
import { definitionSchemas } from './definition/schema.ts'
import type { WorkflowEngine } from './engine/engine.ts'
import { answerWith, errorsPlugin } from './plugins/errors.ts'
import { jsonBodyPlugin } from './plugins/json-body.ts'
import { openapiPlugin } from './plugins/openapi.ts'
import { ARRIVES_WITHIN_MS, answerClientError, protocolErrorsPlugin } from './plugins/protocol-errors.ts'
import { requestIdOf, requestIdsPlugin } from './plugins/request-ids.ts'
import { requestLogPlugin } from './plugins/request-log.ts'
import { stoppingPlugin } from './plugins/stopping.ts'
import { timeLimitPlugin } from './plugins/time-limit.ts'
import { validationPlugin } from './plugins/validation.ts'
import { websocketPlugin } from './plugins/websocket.ts'
import { approvalRoutes, approvalSchemas } from './routes/approvals.ts'
import { checkpointRoutes, checkpointSchemas } from './routes/checkpoints.ts'
import { circuitBreakerRoutes, circuitBreakerSchemas } from './routes/circuit-breakers.ts'
import { concurrencyRoutes, concurrencySchemas } from './routes/concurrency.ts'
import { controlRoutes, controlSchemas } from './routes/control.ts'
import { eventRoutes, eventSchemas } from './routes/events.ts'
import { executionSchemas } from './routes/execution-resource.ts'
import { executionRoutes, startSchemas } from './routes/executions.ts'
import { healthRoutes, healthSchemas } from './routes/health.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { problemSchemas } from './routes/problem.ts'
import { progressRoutes, progressSchemas } from './routes/progress.ts'
import { rateLimitRoutes, rateLimitSchemas } from './routes/rate-limits.ts'
import { rollbackRoutes, rollbackSchemas } from './routes/rollback.ts'
import { signalRoutes, signalSchemas } from './routes/signals.ts'
import { statisticsRoutes, statisticsSchemas } from './routes/statistics.ts'
import { streamRoutes } from './routes/stream.ts'
import { versionRoutes, versionSchemas } from './routes/versions.ts'
import { workflowResourceSchemas } from './routes/workflow-resource.ts'
import { workflowRoutes, workflowSchemas } from './routes/workflows.ts'
import { asyncapiDocument } from './stream/asyncapi.ts'
import { httpTelemetryPlugin } from './telemetry/http.ts'
import type { Metrics } from './telemetry/metrics.ts'

export interface AppOptions {
  readonly engine: WorkflowEngine
  /** None: nothing is logged. */
  readonly logger?: FastifyBaseLogger
  /** What one input or signal may take, in bytes; a body may be a little larger. 1 MiB by default. */
  readonly maxPayloadBytes?: number
  /** Counts and times the answers, and is shown at GET /metrics. */
  readonly metrics?: Metrics
  /** The service's version, as OpenAPI shows it. */
  readonly version?: string
}

/** What a body may hold beside the payload: the names around an input. */
const ENVELOPE_BYTES = 64 * 1024

/** A start is given up after 10 s, and who asks for control waits 5 s: most clients wait for longer than this. */
const ANSWER_WITHIN_MS = 12_000

/** A subscriber that gives no sign of life for this long is gone. */
const KEEP_ALIVE_MS = 30_000

/**
 * The HTTP side of Cairn over an engine, not listening yet. The caller starts the engine, and stops it after the app was closed;
 * `await app.close()` ends streams and waiting answers at once.
 */
export function buildApp({
  engine,
  logger,
  maxPayloadBytes = 1_048_576,
  metrics,
  version = '0.1.0',
}: AppOptions): FastifyInstance {
  const app = Fastify({
    ...(logger ? { loggerInstance: logger } : { logger: false }),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    bodyLimit: maxPayloadBytes + ENVELOPE_BYTES,
    requestTimeout: ARRIVES_WITHIN_MS,
    clientErrorHandler: answerClientError,
    http: { requireHostHeader: false },
    keepAliveTimeout: 72_000,
    // Ours answers with a problem; see plugins/stopping.ts.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1000 },
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id)
      answerWith(error, request, reply)
    },
  })

  // First: an upgrade may be asked of any address, and whichever hook refuses it, this one ends its connection.
  app.register(websocketPlugin, { keepAliveMs: KEEP_ALIVE_MS })
  app.register(requestIdsPlugin)
  app.register(requestLogPlugin)
  if (metrics !== undefined) app.register(httpTelemetryPlugin, { metrics })
  app.register(errorsPlugin)
  app.register(protocolErrorsPlugin)
  app.register(stoppingPlugin)
  app.register(jsonBodyPlugin)
  app.register(validationPlugin)
  app.register(timeLimitPlugin, { withinMs: ANSWER_WITHIN_MS })
  app.register(openapiPlugin, { version, asyncapi: asyncapiDocument() })
  // Answers are built field by field in routes/, and the tests hold them against their schemas: nothing is left to filter.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value))
  for (const schema of schemas) app.addSchema(schema)

  app.register(workflowRoutes, { engine })
  app.register(versionRoutes, { engine })
  app.register(executionRoutes, { engine })
  app.register(controlRoutes, { engine })
  app.register(rollbackRoutes, { engine })
  app.register(signalRoutes, { engine })
  app.register(approvalRoutes, { engine })
  app.register(progressRoutes, { engine })
  app.register(eventRoutes, { engine })
  app.register(checkpointRoutes, { engine })
  app.register(statisticsRoutes, { engine })
  app.register(circuitBreakerRoutes, { engine })
  app.register(concurrencyRoutes, { engine })
  app.register(rateLimitRoutes, { engine })
  app.register(streamRoutes, { engine, keepAliveMs: KEEP_ALIVE_MS })
  app.register(healthRoutes, { engine })
  app.register(metricsRoutes, { metricsHandler: metrics?.handle })
  return app
}

/** Each has an $id and is named once in OpenAPI. */
const schemas = [
  ...definitionSchemas,
  ...problemSchemas,
  ...workflowResourceSchemas,
  ...workflowSchemas,
  ...versionSchemas,
  ...executionSchemas,
  ...startSchemas,
  ...controlSchemas,
  ...rollbackSchemas,
  ...signalSchemas,
  ...approvalSchemas,
  ...progressSchemas,
  ...eventSchemas,
  ...checkpointSchemas,
  ...statisticsSchemas,
  ...circuitBreakerSchemas,
  ...concurrencySchemas,
  ...rateLimitSchemas,
  ...healthSchemas,
]
