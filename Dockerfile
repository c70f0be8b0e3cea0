# Cairn needs no build step: Node 24 runs the TypeScript as it is.
ARG NODE=24-bookworm-slim

FROM node:${NODE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY test/client/package.json test/client/
# Without development and optional packages: the image has its own Node, and PostgreSQL runs elsewhere.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --workspaces=false && npm cache clean --force

FROM node:${NODE}
LABEL org.opencontainers.image.title="Cairn" \
      org.opencontainers.image.description="Durable workflow orchestration over PostgreSQL" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=3000
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY migrations migrations
COPY src src
USER node
EXPOSE 3000
# Live only: a service that waits for its database must not be killed for it. Balancers ask /health/ready.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node directly, not npm: SIGTERM must reach it. It is not ready at once, hands its executions over and then ends: give it longer
# than CAIRN_SHUTDOWN_GRACE_MS and CAIRN_DRAIN_MS (docker stop --time 30).
STOPSIGNAL SIGTERM
# As npm start does: docs/adr/0047.
CMD ["node", "--max-semi-space-size=16", "src/main.ts"]
