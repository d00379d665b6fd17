/** The controller: API objects in, cluster objects out. */
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { eventRecorder } from "../kube/events.ts";
import { registerReconcilers } from "../kube/reconcile-metrics.ts";
import type { Logger } from "../process/logger.ts";
import { startAdminServer } from "../process/metrics-server.ts";
import { createMetricPush } from "../process/otlp/metric-push.ts";
import { processRegister, processResource } from "../process/process-metrics.ts";
import { runProgram } from "../process/run.ts";
import { createCaches, startCaches } from "./caches.ts";
import { certManagerReconciler } from "./cert-manager/reconciler.ts";
import { routingCertificateReconciler } from "./certificate/internal-certificates.ts";
import { parseConfig, type ControllerConfig } from "./config.ts";
import { watchConfig } from "./config/store.ts";
import { configurationReconciler } from "./configuration/reconciler.ts";
import { domainMappingReconciler } from "./domain-mapping/reconciler.ts";
import { ingressReconciler } from "./ingress/reconciler.ts";
import { labelerReconciler } from "./labeler/reconciler.ts";
import { campaign } from "./leadership.ts";
import { namespaceCertificateReconciler } from "./namespace-certificate/reconciler.ts";
import type { Deps } from "./reconciler.ts";
import { createDigestResolver } from "./revision/digest.ts";
import { revisionReconciler } from "./revision/reconciler.ts";
import { revisionGcReconciler } from "./revision-gc/reconciler.ts";
import { routeReconciler } from "./route/reconciler.ts";
import { serverlessServiceReconciler } from "./serverless-service/reconciler.ts";
import { serviceReconciler } from "./service/reconciler.ts";
import { ensureStatsKey } from "./stats-key.ts";

/** Long enough to spare most of the steps that nobody could follow, too short for anybody to miss them. */
const statusPauseMs = 100;

export async function run(config: ControllerConfig, log: Logger, stop: AbortSignal): Promise<void> {
  const { env, systemNamespace, clusterDomain, identity } = config;
  const client = await kubeClientFromEnvironment(env, "swell-controller");
  let starting: string | undefined = "the caches are not filled yet";
  const resource = processResource("controller", env);
  const register = processRegister(resource);
  client.counts.register(register);
  const probes = await startAdminServer({ port: config.probePort, env, log, readiness: () => starting });

  // The pods of Revisions carry tokens made with this key: nothing is built before it exists.
  const statsKey = await ensureStatsKey(client, systemNamespace);
  const store = await watchConfig({ client, namespace: systemNamespace, clusterDomain, log, signal: stop });
  const caches = createCaches(client, log);
  await startCaches(caches, log, stop);

  const depsFor = (component: string): Deps => ({
    client,
    caches,
    config: store,
    record: eventRecorder({ client, component, log }),
    nowMs: Date.now,
    log,
    systemNamespace,
    clusterDomain,
    statusPauseMs,
  });
  const digests = createDigestResolver({ client, config: store, log });
  const reconcilers = [
    serviceReconciler(depsFor("service-controller")),
    configurationReconciler(depsFor("configuration-controller")),
    revisionReconciler({ ...depsFor("revision-controller"), statsKey, digests }),
    routeReconciler(depsFor("route-controller")),
    labelerReconciler(depsFor("labeler-controller")),
    serverlessServiceReconciler(depsFor("serverlessservice-controller")),
    ingressReconciler(depsFor("ingress-controller")),
    revisionGcReconciler(depsFor("revision-gc-controller")),
    domainMappingReconciler(depsFor("domainmapping-controller")),
    namespaceCertificateReconciler(depsFor("nscert-controller")),
    certManagerReconciler(depsFor("certificate-controller")),
    routingCertificateReconciler(depsFor("routing-certificate-controller")),
  ];
  const election = store.current.leaderElection;
  const { running, ended } = campaign(
    { client, component: "controller", namespace: systemNamespace, identity, election, reconcilers, log },
    stop,
  );
  registerReconcilers(
    register,
    "controller",
    running.map(({ counts }) => counts),
  );
  const admin = await startAdminServer({
    port: config.metricsPort,
    env,
    log,
    register,
    debug: { queues: () => running.map(({ name, depth }) => ({ name, waiting: depth() ?? "not leading" })) },
  });
  const push = createMetricPush({ register, resource, env, log });
  const follow = (): void => push.follow(store.current.observability.metricsPush);
  store.onChange(follow);
  follow();
  starting = undefined;
  log.info({ identity }, "controller runs");
  await ended;
  await Promise.all([probes.close(), admin.close(), push.stop()]);
}

await runProgram({ component: "controller", parse: parseConfig, run });
