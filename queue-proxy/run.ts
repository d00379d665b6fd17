/** Composes the sidecar's parts, serves until `stop`, drains. */
import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createProxyServer } from "../proxy/server.ts";
import { Drainer } from "../proxy/drain.ts";
import type { Exchange, ProxyServer } from "../proxy/exchange.ts";
import { RequestStats } from "../proxy/request-stats.ts";
import type { Env } from "../process/env.ts";
import { resolveHost } from "../process/resolve.ts";
import type { QueueProxyConfig } from "./config.ts";
import { createAutoMetrics } from "./auto-metrics.ts";
import { mainHandler } from "./handlers.ts";
import type { Log } from "./log.ts";
import { containerBreaker, proxyHandler } from "./proxy-handler.ts";
import { createReadinessProbe } from "./readiness-probe.ts";
import { adminListener, autoMetricsListener, startSideServer, userMetricsListener } from "./side-servers.ts";
import { createStatsReporter, type StatsReporter } from "./stats-reporter.ts";

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

const certificateFolder = "/var/lib/knative/certs";
const certificateReloadMs = 60_000;

export interface Running {
  /** Of the main server, in the order of `config.serving`. */
  ports: number[];
  adminPort: number;
  autoMetricsPort: number;
  userMetricsPort: number | undefined;
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
  const load = (): ReturnType<RequestStats["load"]> => stats.load(performance.now());
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

  const metrics =
    config.userMetrics === undefined
      ? undefined
      : (await import("./user-metrics.ts")).createUserMetrics(config, breaker !== undefined);
  const proxy = proxyHandler({
    userPort: config.userPort,
    breaker,
    stats,
    onStats: () => reporter?.loadChanged(),
    metrics: metrics?.app,
    log,
  });
  const handler = mainHandler({
    drainer,
    readiness,
    upgrades,
    limits: config.limits,
    observe: metrics?.observe,
    proxy,
    log,
  });
  const maxIdleUpstreams = config.containerConcurrency > 0 ? config.containerConcurrency : 1000;
  const servers: ProxyServer[] = [createProxyServer({ handler, log, maxIdleUpstreams })];
  const ports = await servers[0]!.listen(config.serving);
  log.info({ port: config.servingPort }, "serving");

  // From here on nothing is in a request's way.
  const tls = await startTls(config, handler, log, over.signal);
  if (tls !== undefined) servers.push(tls);
  const autoMetrics = createAutoMetrics({ pod: config.pod, startMs, load });
  const sideServers = await Promise.all([
    startSideServer(
      config.admin,
      adminListener(drainer, stop, () => reporter?.stateChanged()),
    ),
    startSideServer(
      config.autoMetrics,
      autoMetricsListener(() => autoMetrics.scrape()),
    ),
    ...(config.userMetrics === undefined || metrics === undefined
      ? []
      : [
          startSideServer(
            config.userMetrics,
            userMetricsListener(() => metrics.text()),
          ),
        ]),
  ]);
  const [adminPort, autoMetricsPort, userMetricsPort] = sideServers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });

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
      load: async () => (await import("./stats-stream.ts")).podStreams(hello, localAddress),
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
    await Promise.all(
      sideServers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeIdleConnections();
          }),
      ),
    );
    log.info("drained");
  };
  return {
    ports,
    adminPort: adminPort ?? 0,
    autoMetricsPort: autoMetricsPort ?? 0,
    userMetricsPort,
    finished: finish(),
  };
}

/** A second server with the same handler when a certificate is mounted; the certificate is read again each minute. */
async function startTls(
  config: QueueProxyConfig,
  handler: Parameters<typeof createProxyServer>[0]["handler"],
  log: Log,
  signal: AbortSignal,
): Promise<ProxyServer | undefined> {
  const read = async (): Promise<{ cert: Buffer; key: Buffer } | undefined> => {
    try {
      const [cert, key] = await Promise.all(
        ["tls.crt", "tls.key"].map((file) => readFile(`${certificateFolder}/${file}`)),
      );
      return { cert: cert!, key: key! };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  };
  let pair = await read();
  if (pair === undefined) return undefined;
  const server = createProxyServer({ handler, log, tls: { minVersion: config.tlsMinVersion, select: () => pair } });
  await server.listen(config.tlsServing);
  const timer = setInterval(() => {
    read().then(
      (next) => {
        pair = next ?? pair;
      },
      (error: unknown) => log.warn({ err: error }, "the certificate cannot be read; the last one stays"),
    );
  }, certificateReloadMs).unref();
  signal.addEventListener("abort", () => clearInterval(timer));
  return server;
}
