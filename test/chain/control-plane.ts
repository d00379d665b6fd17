/** The controller's reconcilers over the embedded API server, with a hand in place of autoscaler, nodes and gateway. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Test } from "tap";
import { parse } from "yaml";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import { Conditions, podAutoscalerConditions } from "../../api/conditions.ts";
import { customResourceDefinitions, deployments, endpoints, namespaces, type Deployment } from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import { createCaches, startCaches, type Caches } from "../../controller/caches.ts";
import { certManagerReconciler } from "../../controller/cert-manager/reconciler.ts";
import { routingCertificateReconciler } from "../../controller/certificate/internal-certificates.ts";
import { fixedConfig, parsePlatformConfig } from "../../controller/config/store.ts";
import { configurationReconciler } from "../../controller/configuration/reconciler.ts";
import { domainMappingReconciler } from "../../controller/domain-mapping/reconciler.ts";
import { ingressReconciler } from "../../controller/ingress/reconciler.ts";
import { labelerReconciler } from "../../controller/labeler/reconciler.ts";
import { namespaceCertificateReconciler } from "../../controller/namespace-certificate/reconciler.ts";
import type { Deps } from "../../controller/reconciler.ts";
import { createDigestResolver } from "../../controller/revision/digest.ts";
import { revisionReconciler } from "../../controller/revision/reconciler.ts";
import { revisionGcReconciler } from "../../controller/revision-gc/reconciler.ts";
import { routeReconciler } from "../../controller/route/reconciler.ts";
import { serverlessServiceReconciler } from "../../controller/serverless-service/reconciler.ts";
import { serviceReconciler } from "../../controller/service/reconciler.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer } from "../../kube/informer.ts";
import { startReconciler } from "../../kube/reconciler.ts";
import { inProcessClient } from "../../local/apiserver/in-process-client.ts";
import { createKindRegistry } from "../../local/apiserver/kinds/index.ts";
import { createRest } from "../../local/apiserver/rest.ts";
import { silentLogger } from "../../process/logger.ts";

const root = path.join(import.meta.dirname, "../..");
const systemNamespace = "knative-serving";
const configData: Record<string, Record<string, string>> = {
  "config-deployment": { "queue-sidecar-image": "dev.local/swell-queue-proxy:0.1.0" },
  "config-network": { "ingress-class": "swell.ingress.networking.knative.dev" },
  "config-domain": { "example.com": "" },
};

export interface ControlPlane {
  client: KubeClient;
  caches: Caches;
  /** Every write but events, as `create routes hello`, in order. */
  writes: string[];
  /** Messages of the events that were recorded. */
  events: string[];
  /** Resolves with the object once it is as `wanted`. */
  until<T extends KubeObject>(
    resource: Resource,
    name: string,
    wanted: (object: T) => boolean,
    namespace?: string,
  ): Promise<T>;
  /** Plays the autoscaler and the kubelet: the Revision's pods are up, its scale is initialised. */
  bringUp(revision: string): Promise<void>;
  /** Resolves when nothing was written for a while of queue turns. */
  settled(): Promise<void>;
}

/** `settings` are laid over the stock ones, by ConfigMap. */
export async function startControlPlane(
  t: Test,
  settings: Record<string, Record<string, string>> = {},
): Promise<ControlPlane> {
  const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log: silentLogger });
  const inner = inProcessClient(rest, { username: "system:admin", groups: ["system:masters"] });
  const writes: string[] = [];
  const events: string[] = [];
  const client = recording(inner, writes);
  const stop = new AbortController();
  for (const name of ["default", systemNamespace])
    await inner.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } }).catch(() => {});
  const crds = path.join(root, "manifests/crds");
  for (const file of readdirSync(crds))
    await inner.create(customResourceDefinitions, parse(readFileSync(path.join(crds, file), "utf8")) as KubeObject);
  for (const [name, ip] of [
    ["gateway", "127.0.0.9"],
    ["gateway-internal", "127.0.0.9"],
  ])
    await inner.create(endpoints, {
      apiVersion: "v1",
      kind: "Endpoints",
      metadata: { name, namespace: systemNamespace },
      subsets: [{ addresses: [{ ip }], ports: [{ name: "http", port: 8080, protocol: "TCP" }] }],
    } as KubeObject);

  const caches = createCaches(client, silentLogger);
  await startCaches(caches, silentLogger, stop.signal);
  const config = fixedConfig(
    parsePlatformConfig((name) => ({ ...configData[name], ...settings[name] }), "cluster.local"),
  );
  const deps: Deps = {
    client,
    caches,
    config,
    record: (_object, _type, reason, message) => events.push(`${reason}: ${message}`),
    nowMs: Date.now,
    log: silentLogger,
    systemNamespace,
    clusterDomain: "cluster.local",
  };
  const digests = createDigestResolver({ client, config, log: silentLogger });
  const runs = [
    serviceReconciler(deps),
    configurationReconciler(deps),
    revisionReconciler({ ...deps, statsKey: Buffer.alloc(32), digests }),
    routeReconciler(deps),
    labelerReconciler(deps),
    serverlessServiceReconciler(deps),
    ingressReconciler(deps, async () => ({ is: "ready" })),
    revisionGcReconciler(deps),
    domainMappingReconciler(deps),
    namespaceCertificateReconciler(deps),
    certManagerReconciler(deps),
    routingCertificateReconciler(deps),
  ].map(({ name, reconcile, watch }) => {
    const runner = startReconciler({ name, reconcile, log: silentLogger });
    const unwatch = watch(
      (key) => runner.queue.add(key),
      (key, ms) => runner.queue.addAfter(key, ms),
    );
    const ended = runner.run(stop.signal);
    return async (): Promise<void> => {
      unwatch.forEach((end) => end());
      await ended;
    };
  });
  t.teardown(async () => {
    stop.abort();
    await Promise.all(runs.map((end) => end()));
    await rest.close();
  });

  const until: ControlPlane["until"] = async <T extends KubeObject>(
    resource: Resource,
    name: string,
    wanted: (object: T) => boolean,
    namespace = "default",
  ): Promise<T> => {
    const ended = new AbortController();
    const informer = createInformer<T>({
      client: inner,
      resource,
      namespace,
      fieldSelector: `metadata.name=${name}`,
      log: silentLogger,
    });
    const found = Promise.withResolvers<T>();
    let last: T | undefined;
    const timer = setTimeout(() => found.reject(new Error(`still ${JSON.stringify(last)}`)), 10_000);
    informer.onChange(({ is, object }) => {
      last = object;
      if (is !== "deleted" && wanted(object)) found.resolve(object);
    });
    informer.run(ended.signal).catch(found.reject);
    try {
      return await found.promise;
    } finally {
      clearTimeout(timer);
      ended.abort();
    }
  };

  return {
    client: inner,
    caches,
    writes,
    events,
    until,
    async bringUp(revision) {
      const deployment = await until<Deployment>(deployments, `${revision}-deployment`, () => true);
      await inner.update<Deployment>(
        deployments,
        {
          ...deployment,
          status: {
            replicas: 1,
            readyReplicas: 1,
            availableReplicas: 1,
            conditions: [{ type: "Progressing", status: "True" }],
          },
        },
        { subresource: "status" },
      );
      const pa = await until<PodAutoscaler>(podAutoscalers, revision, () => true);
      const conditions = new Conditions(podAutoscalerConditions, undefined, Date.now());
      for (const type of podAutoscalerConditions.dependents) conditions.markTrue(type);
      const status = {
        conditions: conditions.list(),
        serviceName: revision,
        metricsServiceName: "",
        actualScale: 1,
        desiredScale: 1,
        observedGeneration: pa.metadata.generation ?? 1,
      };
      await inner.update<PodAutoscaler>(podAutoscalers, { ...pa, status }, { subresource: "status" });
    },
    async settled() {
      for (let seen = -1, quiet = 0; quiet < 20; quiet = seen === writes.length ? quiet + 1 : 0) {
        seen = writes.length;
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      }
    },
  };
}

function recording(client: KubeClient, writes: string[]): KubeClient {
  return {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    watch: (...args) => client.watch(...args),
    create: (resource, object, options) => {
      writes.push(`create ${resource.plural} ${object.metadata.name}`);
      return client.create(resource, object, options);
    },
    update: (resource, object, options) => {
      const what = options?.subresource === "status" ? " status" : "";
      writes.push(`update ${resource.plural} ${object.metadata.name}${what}`);
      return client.update(resource, object, options);
    },
    patch: (resource, name, namespace, patch, options) => {
      writes.push(`patch ${resource.plural} ${name}`);
      return client.patch(resource, name, namespace, patch, options);
    },
    delete: (resource, name, namespace, options) => {
      writes.push(`delete ${resource.plural} ${name}`);
      return client.delete(resource, name, namespace, options);
    },
  };
}
