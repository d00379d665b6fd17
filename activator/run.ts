/** Composes the parts, serves until `stop`, drains. */
import { once } from "node:events";
import { configMaps, endpoints, secrets, type ConfigMap, type Endpoints, type Secret } from "../api/core.ts";
import { isOurs } from "../api/ingress-claims.ts";
import { label, statsTokenSecret } from "../api/keys.ts";
import { kIngresses, serverlessServices, type KIngress, type ServerlessService } from "../api/networking.ts";
import { revisions, type Revision } from "../api/serving.ts";
import { pause } from "../kube/back-off.ts";
import type { KubeClient } from "../kube/client.ts";
import { createInformer } from "../kube/informer.ts";
import { followObservability } from "../kube/metric-push.ts";
import type { Logger } from "../process/logger.ts";
import { startAdminServer } from "../process/metrics-server.ts";
import { createMetricPush } from "../process/otlp/metric-push.ts";
import { processRegister, processResource } from "../process/process-metrics.ts";
import { resolveHost } from "../process/resolve.ts";
import { Drainer } from "../proxy/drain.ts";
import type { Exchange, ProxyServer, ProxyServerOptions } from "../proxy/exchange.ts";
import { createProxyServer } from "../proxy/server.ts";
import { activationHandler, heldBodyBytes } from "./activation-handler.ts";
import { registerActivator } from "./activator-metrics.ts";
import { Autoscalers } from "./autoscalers.ts";
import { ConcurrencyReporter } from "./concurrency-reporter.ts";
import type { ActivatorConfig } from "./config.ts";
import { Certificates } from "./gateway/certificates.ts";
import { IngressVersions } from "./gateway/ingress-versions.ts";
import { compiledIngress, routeTable, type Door, type RouteTable } from "./gateway/route-table.ts";
import { ServiceBackends } from "./gateway/service-backends.ts";
import { activatorDoor, gatewayDoor, type Readiness } from "./handlers.ts";
import { InternalTls } from "./internal-tls.ts";
import { createPodProber } from "./pod-prober.ts";
import { observabilityConfigMap, requestLog } from "./request-log.ts";
import { RequestMetrics } from "./request-metrics.ts";
import { endpointsIndexes, RevisionDirectory } from "./revision-directory.ts";
import { UpstreamConnection } from "./upstream-stats-connection.ts";

/** An activator that starts while no autoscaler answers serves running pods all the same, after this. */
const autoscalerGraceMs = 15_000;
const upgradeGraceMs = 10_000;
/** Certificates that do not come for so long are missing for the first handshakes. */
const certificatesMs = 2000;

export interface RunningActivator {
  /** Bound ports, in the order of the configuration. */
  ports: {
    gatewayPublic: number[];
    gatewayInternal: number[];
    gatewayPublicTls: number[];
    gatewayInternalTls: number[];
    activator: number[];
    /** [] while system-internal-tls is off. */
    activatorTls: number[];
    metrics: number;
  };
  directory: RevisionDirectory;
  /** Resolves when everything has drained and closed. */
  finished: Promise<void>;
}

/** Resolves when it serves; the activator's own door, where the kubelet probes, is open before. */
export async function start(
  config: ActivatorConfig,
  client: KubeClient,
  log: Logger,
  stop: AbortSignal,
): Promise<RunningActivator> {
  const over = new AbortController();
  const requestMetrics = new RequestMetrics(config.pod);
  const sources = {
    revisions: createInformer<Revision>({ client, resource: revisions, log }),
    serverlessServices: createInformer<ServerlessService>({ client, resource: serverlessServices, log }),
    endpoints: createInformer<Endpoints>({
      client,
      resource: endpoints,
      labelSelector: label.serviceType,
      indexes: endpointsIndexes,
      log,
    }),
  };
  const ingresses = createInformer<KIngress>({ client, resource: kIngresses, log });
  const tokenKeys = createInformer<Secret>({
    client,
    resource: secrets,
    namespace: config.systemNamespace,
    fieldSelector: `metadata.name=${statsTokenSecret}`,
    log,
  });
  const observability = createInformer<ConfigMap>({
    client,
    resource: configMaps,
    namespace: config.systemNamespace,
    fieldSelector: `metadata.name=${observabilityConfigMap}`,
    log,
  });

  // What is known: revisions and their pods, from the API server, the autoscalers and our own probes.
  const prober = createPodProber({
    timeoutMs: config.probeTimeoutMs,
    periodMs: config.probePeriodMs,
    onPassed: (entry, address) => directory.passed(entry, address),
  });
  const reporter = new ConcurrencyReporter({
    nowMs: () => performance.now(),
    onUrgent(loads) {
      autoscalers.report(loads);
      upstream.urgent(loads);
    },
  });
  const directory = new RevisionDirectory({
    sources,
    reporter,
    ownIp: config.podIp,
    ownPod: config.pod,
    maxHeldPerRevision: config.maxHeldPerRevision,
    maxHeld: config.maxHeld,
    maxHeldBytes: config.maxHeldBytes,
    onProbeWanted: (entry) => prober.want(entry),
    onForgotten: (entry) => requestMetrics.forget(entry),
    log,
  });
  const tokenKey = (): Buffer | undefined => {
    const key = tokenKeys.get(`${config.systemNamespace}/${statsTokenSecret}`)?.data?.["key"];
    return key === undefined ? undefined : Buffer.from(key, "base64");
  };
  const autoscalers = new Autoscalers({
    resolve: () => resolveHost(config.autoscaler.host, config.env),
    port: config.autoscaler.port,
    pod: config.pod,
    key: tokenKey,
    reporter,
    onPods: (stream, pods) => directory.hear(stream, pods),
    onDemands: (stream, demands) => directory.share(stream, demands),
    onStreamEnded: (stream) => directory.forgetStream(stream),
    log,
  });
  tokenKeys.onChange(() => autoscalers.keyChanged());
  const upstream = new UpstreamConnection({
    ...config.upstreamAutoscaler,
    host: config.autoscaler.host,
    resolve: () => resolveHost(config.autoscaler.host, config.env),
    streams: () => autoscalers.reachable,
    reporter,
    pod: config.pod,
    nowMs: () => performance.now(),
    log,
  });

  // What is routed.
  let table: RouteTable | undefined;
  let rebuilding: NodeJS.Immediate | undefined;
  // A list of thousands is one table, not thousands.
  const lookAgain = (): void => void (rebuilding ??= setImmediate(rebuild));
  const ownNames = gatewayNames(config.systemNamespace, config.clusterDomain);
  const serviceBackends = new ServiceBackends({
    client,
    resolve: (name) => resolveHost(name, config.env),
    ownDoor: (name) => ownNames.get(name.toLowerCase()),
    onChange: () => {
      if (versions.isWaiting(ingresses.list())) lookAgain();
    },
    log,
  });
  const certificates = new Certificates({ client, log });
  const versions = new IngressVersions((target) =>
    target.is === "revision"
      ? directory.get(target.namespace, target.name) !== undefined
      : serviceBackends.hasBackend(target),
  );
  const rebuild = (): void => {
    rebuilding = undefined;
    const present = ingresses.list();
    // Also those of versions that wait for them.
    const backends = present.filter(isOurs).flatMap((ingress) => compiledIngress(ingress).targets);
    serviceBackends.want([...(table?.services() ?? []), ...backends.filter(({ is }) => is === "service")]);
    table = routeTable(versions.choose(present));
    certificates.want(table.certificates);
    if (!versions.isWaiting(present)) serviceBackends.want(table.services());
  };
  ingresses.onChange(lookAgain);
  sources.revisions.onChange(({ is }) => {
    if (is === "added" && versions.isWaiting(ingresses.list())) lookAgain();
  });

  // Who is spoken to over TLS.
  const internalTls = new InternalTls({
    client,
    systemNamespace: config.systemNamespace,
    log,
    onPair: () => servers.activatorTls.renewCertificate(),
  });

  // Who is served.
  const drainer = new Drainer({ quietMs: config.drainMs, acknowledgedQuietMs: config.drainMs });
  const upgrades = new Set<Exchange>();
  const logged = requestLog({ configMaps: observability, write: (line) => void process.stdout.write(line), log });
  const activate = activationHandler({
    find: (namespace, name) => directory.get(namespace, name),
    reporter,
    onHeld: (entry) => {
      directory.waits(entry);
      prober.want(entry);
    },
    onUse: (entry, nowMs) => autoscalers.use(entry.namespace, entry.name, nowMs),
    onUndialled: (entry, address) => directory.suspect(entry, address),
    tls: (namespace) => internalTls.of(namespace),
    podTlsPort: config.podTlsPort,
    observe(exchange, entry) {
      requestMetrics.observe(exchange, entry);
      logged.observe(exchange, entry);
    },
    log,
  });
  let syncedMs: number | undefined;
  const readiness: Readiness = () => {
    if (stop.aborted) return { status: 500, reason: "received SIGTERM from kubelet" };
    if (syncedMs === undefined) return { status: 503, reason: "the API server's objects are not known yet" };
    // Once it was up its absence is no reason to take the data path away: running pods are served without it.
    const reached = autoscalers.everReachable || upstream.everReachable;
    const mayServe = reached || performance.now() - syncedMs > autoscalerGraceMs;
    return mayServe ? { status: 200 } : { status: 500, reason: "connection has not yet been established" };
  };
  const door = { drainer, upgrades };
  const gateway = {
    ...door,
    activate,
    table: () => (syncedMs === undefined ? undefined : table),
    destination: serviceBackends.destination.bind(serviceBackends),
  };
  const create = (
    handler: Parameters<typeof createProxyServer>[0]["handler"],
    tls?: ProxyServerOptions["tls"],
  ): ProxyServer =>
    createProxyServer({
      handler,
      log,
      maxIdleUpstreams: config.maxIdleConnectionsPerHost,
      http2WindowBytes: heldBodyBytes,
      ...(tls === undefined ? {} : { tls }),
    });
  const tls = {
    minVersion: "TLSv1.2",
    select: (servername: string | undefined) => certificates.select(servername),
  } as const;
  const activatorHandler = activatorDoor({
    ...door,
    readiness,
    isSynced: () => syncedMs !== undefined,
    activate,
    clusterDomain: config.clusterDomain,
  });
  const servers = {
    gatewayPublic: create(gatewayDoor(gateway, "public")),
    gatewayInternal: create(gatewayDoor(gateway, "internal")),
    gatewayPublicTls: create(gatewayDoor(gateway, "public"), tls),
    gatewayInternalTls: create(gatewayDoor(gateway, "internal"), tls),
    activator: create(activatorHandler),
    activatorTls: create(activatorHandler, { minVersion: "TLSv1.3", select: () => internalTls.pair }),
  };

  // The watches start first: they are under way while the ports are bound.
  const informers = [...Object.values(sources), ingresses, tokenKeys, observability];
  const background = informers.map((informer) => informer.run(over.signal));
  background.push(autoscalers.run(over.signal), upstream.run(over.signal));
  const synced = (async () => {
    // The token's secret may come later; nothing but reports waits for it.
    await Promise.all([
      ...[...Object.values(sources), ingresses].map((informer) => informer.synced(over.signal)),
      internalTls.start(over.signal),
    ]);
    rebuild();
    await certificates.settled(AbortSignal.timeout(certificatesMs));
    syncedMs = performance.now();
    log.info({ hosts: table?.size }, "routes and revisions are known");
  })();
  synced.catch(() => undefined);

  const activator = await servers.activator.listen(config.listen.activator);
  const resource = processResource("activator", config.env);
  const register = processRegister(resource);
  client.counts?.register(register);
  registerActivator(register, {
    directory,
    receivers: [autoscalers, upstream],
    requests: requestMetrics,
    pod: config.pod,
  });
  const push = createMetricPush({ register, resource, env: config.env, log });
  followObservability(push, { configMaps: observability, namespace: config.systemNamespace, log });
  const admin = await startAdminServer({
    port: config.metricsPort,
    env: config.env,
    log,
    register,
    debug: {
      revisions: ([namespace, name]) =>
        namespace === undefined || name === undefined ? summary(directory) : describe(directory, namespace, name),
      routes: () => ({ hosts: table?.size ?? 0 }),
    },
  });
  // An address of the host may be shared with the pod that this one replaces: whoever binds it gets requests.
  await Promise.race([synced, stop.aborted ? undefined : once(stop, "abort")]);
  const doors = ["gatewayPublic", "gatewayInternal", "gatewayPublicTls", "gatewayInternalTls"] as const;
  const [gatewayPublic = [], gatewayInternal = [], gatewayPublicTls = [], gatewayInternalTls = []] = stop.aborted
    ? []
    : await Promise.all(doors.map((name) => servers[name].listen(config.listen[name])));
  const activatorTls =
    stop.aborted || !internalTls.enabled ? [] : await servers.activatorTls.listen(config.listen.activatorTls);
  const bound = { gatewayPublic, gatewayInternal, gatewayPublicTls, gatewayInternalTls, activator, activatorTls };
  log.info(bound, "serving");

  const finish = async (): Promise<void> => {
    if (!stop.aborted) await once(stop, "abort");
    log.info("draining");
    drainer.start();
    for (const server of Object.values(servers)) server.retire();
    // Readiness fails from here on; requests are taken until everybody has heard of it.
    await pause(config.drainMs, new AbortController().signal);
    for (const exchange of upgrades) exchange.closeUpgraded();
    const upgradeTimer = setTimeout(() => {
      for (const exchange of upgrades) exchange.fail(503, "");
    }, upgradeGraceMs);
    await Promise.all(Object.values(servers).map((server) => server.close(config.inFlightGraceMs)));
    clearTimeout(upgradeTimer);
    clearImmediate(rebuilding);
    // Only now: until the last request has ended it is reported, and pods are heard of.
    over.abort();
    serviceBackends.close();
    await Promise.all([...background, certificates.close(), prober.close(), admin.close(), push.stop()]);
    log.info("drained");
  };
  return {
    ports: { ...bound, metrics: admin.port },
    directory,
    finished: finish(),
  };
}

/** The names of our own Services, which an ExternalName Service may lead back to. */
function gatewayNames(namespace: string, clusterDomain: string): Map<string, Door> {
  const names = new Map<string, Door>();
  for (const [service, door] of [
    ["gateway", "public"],
    ["gateway-internal", "internal"],
  ] as const)
    for (const suffix of ["", ".svc", `.svc.${clusterDomain}`]) names.set(`${service}.${namespace}${suffix}`, door);
  return names;
}

const summary = (directory: RevisionDirectory): unknown => ({
  held: directory.held,
  heldBytes: directory.heldBytes,
  revisions: [...directory.all()]
    .filter(({ throttler }) => throttler.active > 0 || throttler.waiting > 0)
    .map(({ namespace, name, throttler }) => ({
      revision: `${namespace}/${name}`,
      active: throttler.active,
      waiting: throttler.waiting,
      pods: throttler.pods.length,
    })),
});

function describe(directory: RevisionDirectory, namespace: string, name: string): unknown {
  const entry = directory.get(namespace, name);
  if (entry === undefined) return undefined;
  const { throttler, backends, proxyMode } = entry;
  return {
    proxyMode,
    active: throttler.active,
    waiting: throttler.waiting,
    pods: throttler.pods,
    backends: backends.describe(),
  };
}
