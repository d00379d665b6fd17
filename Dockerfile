# The platform's images, for those who have a container engine; `npm run image:build` makes the same without one.
# Five of them are one image with five commands, the sidecar is an image of its own:
#
#   for program in activator autoscaler autoscaler-hpa controller webhook queue-proxy; do
#     docker build --target $program -t dev.local/swell-$program:0.1.0 .
#   done
#
# They run as a user that is not root, and need nothing of their root file system but to read it.
FROM debian:bookworm-slim AS build
COPY --from=node:24-bookworm-slim /usr/local /usr/local
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
# The Node of the lock file, not that of the build image, is what runs.
RUN node process/pinned.mjs process/bundle.ts \
  && cp node_modules/node-linux-*/bin/node /usr/local/bin/pinned-node \
  && mkdir -p /out/platform /out/sidecar \
  && pinned-node process/image-folders.ts /out

# glibc, libstdc++ and certificates; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot AS base
COPY --from=build /usr/local/bin/pinned-node /usr/local/bin/node
ENV NODE_ENV=production
USER 65532:65532
WORKDIR /

FROM base AS platform
COPY --from=build /out/platform /swell

FROM platform AS activator
ENTRYPOINT ["/usr/local/bin/node", "/swell/activator.mjs"]

FROM platform AS autoscaler
ENTRYPOINT ["/usr/local/bin/node", "/swell/autoscaler.mjs"]

FROM platform AS autoscaler-hpa
ENTRYPOINT ["/usr/local/bin/node", "/swell/autoscaler-hpa.mjs"]

FROM platform AS controller
ENTRYPOINT ["/usr/local/bin/node", "/swell/controller.mjs"]

FROM platform AS webhook
ENTRYPOINT ["/usr/local/bin/node", "/swell/webhook.mjs"]

FROM base AS queue-proxy
COPY --from=build /out/sidecar /swell
ENTRYPOINT ["/usr/local/bin/node", "/swell/queue-proxy.mjs"]
