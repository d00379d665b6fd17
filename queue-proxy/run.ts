/** Composes the sidecar's parts, serves until `stop`, drains. */
import { once } from "node:events";
import type { TlsOptions } from "node:tls";
import { createProxyServer } from "../proxy/server.ts";
import { Drainer } from "../proxy/drain.ts";
import type { Exchange, Handler, ProxyServer } from "../proxy/exchange.ts";
import { RequestStats, type CumulativeLoad } from "../proxy/request-stats.ts";
import type { Env } from "../process/env.ts";
import { resolveHost } from "../process/resolve.ts";
import type { QueueProxyConfig } from "./config.ts";
import { createAppReturn } from "./app-return.ts";
import { createAutoMetrics } from "./auto-metrics.ts";
import { openGrpcStream } from "./grpc-stream.ts";
import { mainHandler } from "./handlers.ts";
import type { Log } from "./log.ts";
import { containerBreaker, proxyHandler } from "./proxy-handler.ts";
import { createReadinessProbe } from "./readiness-probe.ts";
import { MessageWriter } from "../process/otlp/message-writer.ts";
import type { UserMetricsConfig } from "./observability.ts";
import { resultStatus } from "./our-error.ts";
import {
  adminListener,
  autoMetricsListener,
  startSideServer,
  userMetricsListener,
  type SideServer,
} from "./side-servers.ts";
import { nodeTlsOptions } from "./tls-options.ts";
import { watchTlsPair } from "./tls-pair.ts";
import { createStatsReporter, type StatsReporter } from "./stats-reporter.ts";
import { podStreams } from "./stats-stream.ts";

/** Tests shorten them. */
export interface DrainSettings {
  /** Knative's 30 s, for senders that may not know. */
  quietMs: number;
  /** Once the autoscaler has told every activator. */
  acknowledgedQuietMs: number;
  /** For upgraded connections that were asked to finish. */
  upgradeGraceMs: number;
  /** For requests in flight; in a cluster the pod's grace period ends it. */
  inFlightGraceMs: number;
}

export const drainSettings: DrainSettings = {
  quietMs: 30_000,
  acknowledgedQuietMs: 3000,
  upgradeGraceMs: 10_000,
  inFlightGraceMs: 2_147_483_647,
};

export interface Running {
  /** Of the main server, in the order of `config.serving`. */
  ports: number[];
  adminPort: number;
  autoMetricsPort: number;
  userMetricsPort: number | undefined;
  /** Undefined without a certificate. */
  tlsPort: number | undefined;
  profilingPort: number | undefined;
  load: () => CumulativeLoad;
  /** Resolves when everything has drained and closed. */
  finished: Promise<void>;
}

export async function start(
  config: QueueProxyConfig,
  log: Log,
  stop: AbortSignal,
  env: Env,
  drain: DrainSettings = drainSettings,
): Promise<Running> {
  const startMs = performance.now();
  const epoch = Date.now();
  const drainer = new Drainer(drain);
  const stats = new RequestStats(startMs);
  const load = (): CumulativeLoad => stats.load(performance.now());
  const breaker = containerBreaker(config.containerConcurrency);
  const upgrades = new Set<Exchange>();
  const over = new AbortController();
  let reporter: StatsReporter | undefined;

  const readiness = createReadinessProbe({
    probes: config.probes,
    http2AutoDetection: config.http2AutoDetection,
    log,
    onChange: () => reporter?.stateChanged(),
  });
  // Runs before anything listens: what it finds is known the moment somebody asks.
  readiness.watch(over.signal);

  const { userMetrics, profiling } = config.observability;
  const observed = Object.values(config.observability).some((part) => part !== undefined)
    ? (await import("./observers.ts")).createObservers(config, {
        queueDepth: breaker === undefined ? undefined : () => breaker.inFlight,
        resultStatus,
        openGrpcStream,
        newMessage: () => new MessageWriter(),
        log,
        signal: over.signal,
      })
    : undefined;
  const proxy = proxyHandler({
    userPort: config.userPort,
    breaker,
    stats,
    onStats: () => reporter?.loadChanged(),
    metrics: observed?.metrics,
    tracing: observed?.tracing,
    appReturn: createAppReturn({
      lost: () => readiness.lost(),
      draining: () => drainer.draining,
      nowMs: () => performance.now(),
      random: Math.random,
    }),
    log,
  });
  const handler = mainHandler({
    drainer,
    readiness,
    upgrades,
    limits: config.limits,
    observers: observed?.observers ?? [],
    observeProbe: observed?.observeProbe,
    proxy,
    log,
  });
  const maxIdleUpstreams = config.containerConcurrency > 0 ? config.containerConcurrency : 1000;
  const servers: ProxyServer[] = [createProxyServer({ handler, log, maxIdleUpstreams })];
  const ports = await servers[0]!.listen(config.serving);
  log.info({ port: config.servingPort }, "serving");

  // From here on nothing is in a request's way.
  const tls = await startTls(config, handler, maxIdleUpstreams, log);
  if (tls !== undefined) servers.push(tls.server);
  const autoMetrics = createAutoMetrics({ pod: config.pod, startMs, load });
  const start = <A>(what: A | undefined, server: (what: A) => Promise<SideServer>) =>
    what === undefined ? undefined : server(what);
  const [admin, auto, user, profiles] = await Promise.all([
    startSideServer(
      config.admin,
      adminListener(drainer, stop, () => reporter?.stateChanged()),
    ),
    startSideServer(
      config.autoMetrics,
      autoMetricsListener(() => autoMetrics.scrape()),
    ),
    start(userMetrics, ({ address, tls }) =>
      startSideServer(
        address,
        userMetricsListener(() => observed?.metricsText() ?? ""),
        tls === undefined ? undefined : metricsTlsOptions(tls),
      ),
    ),
    start(profiling, (address) => startSideServer(address, (...call) => observed?.profiles(...call))),
  ]);
  const sideServers = [admin, auto, user, profiles].filter((server) => server !== undefined);

  if (config.stats !== undefined) {
    const { host, port, token, localAddress } = config.stats;
    const hello = {
      namespace: config.namespace,
      revision: config.revision,
      pod: config.pod,
      token,
      servingPort: config.servingPort,
      epoch,
    };
    reporter = createStatsReporter({
      port,
      resolve: () => resolveHost(host, env),
      open: podStreams(hello, localAddress),
      state: () => (drainer.draining ? "draining" : readiness.state),
      stats: load,
      onDrainingAcknowledged: () => drainer.acknowledged(),
      log,
    });
    void reporter.run(over.signal);
  }

  const finish = async (): Promise<void> => {
    if (!stop.aborted) await once(stop, "abort");
    log.info("draining");
    drainer.start();
    for (const server of servers) server.retire();
    reporter?.stateChanged();
    await drainer.quiet;
    for (const exchange of upgrades) exchange.closeUpgraded();
    const upgradeTimer = setTimeout(() => {
      for (const exchange of upgrades) exchange.fail(503, "");
    }, drain.upgradeGraceMs);
    await Promise.all(servers.map((server) => server.close(drain.inFlightGraceMs)));
    // The hook of the app's container waits for this and is told by a server that is still there.
    await drainer.drained;
    clearTimeout(upgradeTimer);
    over.abort();
    autoMetrics.stop();
    tls?.stop();
    await observed?.stop();
    await Promise.all(sideServers.map((server) => server.close()));
    log.info("drained");
  };
  return {
    ports,
    adminPort: admin.port,
    autoMetricsPort: auto.port,
    userMetricsPort: user?.port,
    tlsPort: tls?.port,
    profilingPort: profiles?.port,
    load,
    finished: finish(),
  };
}

/** A second server with the same handler when a certificate is mounted at start. */
async function startTls(
  config: QueueProxyConfig,
  handler: Handler,
  maxIdleUpstreams: number,
  log: Log,
): Promise<{ server: ProxyServer; port: number; stop: () => void } | undefined> {
  const { certificateFolder } = config;
  const files = { cert: `${certificateFolder}/tls.crt`, key: `${certificateFolder}/tls.key` };
  const pair = watchTlsPair(files, log, () => server.renewCertificate());
  if (pair === undefined) return undefined;
  const server = createProxyServer({
    handler,
    log,
    maxIdleUpstreams,
    tls: { ...nodeTlsOptions(config.tls), select: () => pair.current },
  });
  const [port] = await server.listen(config.tlsServing);
  log.info({ port: config.tlsServing[0]?.port }, "serving TLS");
  return { server, port: port ?? 0, stop: () => pair.stop() };
}

function metricsTlsOptions(tls: NonNullable<UserMetricsConfig["tls"]>): TlsOptions {
  const { readFileSync } = process.getBuiltinModule("node:fs");
  return {
    ...nodeTlsOptions(tls.settings),
    cert: readFileSync(tls.certFile),
    key: readFileSync(tls.keyFile),
    ...(tls.clientCaFile === undefined ? {} : { ca: readFileSync(tls.clientCaFile) }),
    requestCert: tls.clientAuth !== "none",
    // Optional: a certificate that is given must be good.
    rejectUnauthorized: tls.clientAuth === "require",
  };
}
