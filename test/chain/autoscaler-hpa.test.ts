/** The whole of autoscaler-hpa against the embedded API server, with a hand in place of Kubernetes' own autoscaler. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { test, type Test } from "tap";
import { parse } from "yaml";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import { conditionOf } from "../../api/conditions.ts";
import { configMaps, customResourceDefinitions, deployments, leases, namespaces } from "../../api/core.ts";
import type { Deployment, Lease } from "../../api/core.ts";
import { horizontalPodAutoscalers, type HorizontalPodAutoscaler } from "../../api/horizontal-pod-autoscaler.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { parseHpaProcessConfig } from "../../autoscaler/hpa/config.ts";
import { autoscalingAnnotations, podAutoscaler } from "../../autoscaler/hpa/fixture.ts";
import { run } from "../../autoscaler/hpa/run.ts";
import { ApiError, isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import { inProcessClient } from "../../local/apiserver/in-process-client.ts";
import { createKindRegistry } from "../../local/apiserver/kinds/index.ts";
import { createRest } from "../../local/apiserver/rest.ts";
import { silentLogger } from "../../process/logger.ts";

const name = "hello-00001";
const namespace = "default";
const system = "knative-serving";
const crds = path.join(import.meta.dirname, "../../manifests/crds");
const target = `${name}-deployment`;
const leaseName = "hpaautoscaler.knative.dev.serving.pkg.reconciler.autoscaling.hpa.reconciler.00-of-01";

/** A cluster in which autoscaler-hpa runs and leads; `refuse` says why a write is not done. */
async function start(t: Test, refuse: (write: string) => string | undefined = () => undefined) {
  const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log: silentLogger });
  const client = inProcessClient(rest, { username: "system:admin", groups: ["system:masters"] });
  const writes: string[] = [];
  const stop = new AbortController();
  const changed = new Set<() => void>();
  rest.store.onChange(() => changed.forEach((look) => look()));
  for (const kind of ["podautoscaler", "serverlessservice"])
    await client.create(
      customResourceDefinitions,
      parse(readFileSync(path.join(crds, `${kind}.yaml`), "utf8")) as KubeObject,
    );
  for (const each of [system, namespace])
    await client
      .create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name: each } })
      .catch(() => undefined);
  const labels = { "serving.knative.dev/revision": name };
  await client.create<Deployment>(deployments, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: target, namespace, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: "user-container", image: "x" }] } },
    },
  });

  /** Reads again after every write until it holds. */
  const until = async <T extends KubeObject>(
    resource: Resource,
    holds: (object: T | undefined) => boolean,
    of = { name, namespace },
  ): Promise<T> => {
    for (;;) {
      const again = Promise.withResolvers<void>();
      changed.add(again.resolve);
      const object = await client.get<T>(resource, of.name, of.namespace).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
        return undefined;
      });
      if (holds(object)) return object as T;
      await again.promise;
      changed.delete(again.resolve);
    }
  };
  const env = { POD_NAME: "autoscaler-hpa-1", SWELL_HEALTH_PORT: "0", METRICS_PROMETHEUS_PORT: "0" };
  let running = Promise.resolve();
  t.teardown(async () => {
    stop.abort();
    await running;
    await rest.close();
  });
  return {
    client,
    writes,
    until,
    /** Resolves once it leads. */
    async run(): Promise<void> {
      const config = parseHpaProcessConfig({ ...env, SWELL_BIND_ADDRESS: "127.0.0.1" });
      running = run(recording(client, writes, refuse), config, silentLogger, stop.signal);
      await until<Lease>(leases, (lease) => (lease?.spec?.holderIdentity ?? "") !== "", {
        name: leaseName,
        namespace: system,
      });
    },
    async stop(): Promise<void> {
      stop.abort();
      await running;
    },
    /** Somebody changes what is stored. */
    async edit<T extends KubeObject>(
      resource: Resource,
      change: (object: T) => T,
      subresource?: "status",
    ): Promise<void> {
      for (;;)
        try {
          const object = structuredClone(await client.get<T>(resource, name, namespace));
          await client.update(resource, change(object), subresource === undefined ? {} : { subresource });
          return;
        } catch (error) {
          // The program wrote in between.
          if (!isConflict(error)) throw error;
        }
    },
    /** Plays the controller: the Services are there, and have a pod or none. */
    async serve(ready: "True" | "Unknown"): Promise<void> {
      await until<ServerlessService>(serverlessServices, (sks) => sks !== undefined);
      await this.edit<ServerlessService>(
        serverlessServices,
        (sks) => ({
          ...sks,
          status: {
            serviceName: name,
            privateServiceName: `${name}-private`,
            conditions: [{ type: "Ready", status: ready, lastTransitionTime: "2026-01-01T00:00:00Z" }],
          },
        }),
        "status",
      );
    },
    /** Plays the kubelets. */
    async readyPods(count: number): Promise<void> {
      const deployment = await client.get<Deployment>(deployments, target, namespace);
      const status = { replicas: count, readyReplicas: count };
      await client.update<Deployment>(deployments, { ...deployment, status }, { subresource: "status" });
    },
    /** Resolves when nothing was written for a while of turns. */
    async settled(): Promise<void> {
      for (let seen = -1, quiet = 0; quiet < 20; quiet = seen === writes.length ? quiet + 1 : 0) {
        seen = writes.length;
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      }
    },
  };
}

/** Notes writes of the program's own objects; its lease and events are not of interest. */
function recording(client: KubeClient, writes: string[], refuse: (write: string) => string | undefined): KubeClient {
  const note = (write: string): void => {
    if (/ (leases|events) /u.test(write)) return;
    const message = refuse(write);
    writes.push(write);
    if (message !== undefined)
      throw new ApiError({ apiVersion: "v1", kind: "Status", metadata: {}, status: "Failure", code: 403, message });
  };
  return {
    get: (...args) => client.get(...args),
    list: (...args) => client.list(...args),
    watch: (...args) => client.watch(...args),
    patch: (...args) => client.patch(...args),
    async create(resource, object, options) {
      note(`create ${resource.plural} ${object.metadata.name}`);
      return client.create(resource, object, options);
    },
    async update(resource, object, options) {
      note(
        `update ${resource.plural} ${object.metadata.name}${options?.subresource === undefined ? "" : ` ${options.subresource}`}`,
      );
      return client.update(resource, object, options);
    },
    async delete(resource, object, ...rest) {
      note(`delete ${resource.plural} ${object}`);
      return client.delete(resource, object, ...rest);
    },
  };
}

const create = (client: KubeClient, annotations: Record<string, string> = {}): Promise<PodAutoscaler> => {
  const pa = podAutoscaler(annotations);
  const { uid: _uid, generation: _generation, ...metadata } = pa.metadata;
  return client.create<PodAutoscaler>(podAutoscalers, { ...pa, metadata });
};
/** Somebody's own, under the same name. */
const foreign: HorizontalPodAutoscaler = {
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { name, namespace },
  spec: { scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "mine" }, maxReplicas: 2 },
};
const annotate =
  (annotations: Record<string, string>) =>
  (pa: PodAutoscaler): PodAutoscaler => ({
    ...pa,
    metadata: { ...pa.metadata, annotations: { ...pa.metadata.annotations, ...autoscalingAnnotations(annotations) } },
  });
const is = (type: string, status: string) => (pa: PodAutoscaler | undefined) =>
  conditionOf(pa, type)?.status === status;
const owner = (pa: PodAutoscaler) => [{ kind: "PodAutoscaler", uid: pa.metadata.uid, controller: true }];

test("a PodAutoscaler of the hpa class is handed to Kubernetes, and told what Kubernetes says", async (t) => {
  const hpa = await start(t);
  await hpa.run();
  const pa = await create(hpa.client, { metric: "cpu", target: "70", "max-scale": "5" });
  const made = await hpa.until<HorizontalPodAutoscaler>(horizontalPodAutoscalers, (found) => found !== undefined);
  t.match(made.metadata.ownerReferences, owner(pa));
  t.match(made.spec, {
    scaleTargetRef: { name: target },
    maxReplicas: 5,
    metrics: [{ resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 70 } } }],
  });
  const sks = await hpa.until<ServerlessService>(serverlessServices, (found) => found !== undefined);
  t.match(sks.metadata.ownerReferences, owner(pa));
  t.match(sks.spec, { mode: "Serve", numActivators: 0, objectRef: { name: target } });
  t.equal(sks.metadata.annotations?.["autoscaling.knative.dev/metric"], undefined);

  await hpa.serve("Unknown");
  const waiting = await hpa.until<PodAutoscaler>(podAutoscalers, (found) => found?.status?.serviceName === name);
  t.ok(is("Active", "True")(waiting), "it is active from the start");
  t.match(waiting.status, { metricsServiceName: `${name}-private`, desiredScale: 1, actualScale: 0 });
  await hpa.serve("True");
  await hpa.until<PodAutoscaler>(podAutoscalers, is("SKSReady", "True"));
  await hpa.settled();
  await hpa.readyPods(1);
  const ready = await hpa.until<PodAutoscaler>(podAutoscalers, is("Ready", "True"));
  t.match(ready.status, { desiredScale: 1, actualScale: 1 }, "the Deployment speaks until Kubernetes does");

  await hpa.edit<HorizontalPodAutoscaler>(
    horizontalPodAutoscalers,
    (found) => ({ ...found, status: { desiredReplicas: 4, currentReplicas: 2 } }),
    "status",
  );
  await hpa.until<PodAutoscaler>(podAutoscalers, (found) => found?.status?.desiredScale === 4);
  await hpa.settled();
  const before = [...hpa.writes];
  t.same(
    before.filter((write) => !write.startsWith("update podautoscalers")).sort(),
    [`create horizontalpodautoscalers ${name}`, `create serverlessservices ${name}`],
    "each child was written once",
  );
  await hpa.edit<PodAutoscaler>(podAutoscalers, (found) => ({
    ...found,
    metadata: { ...found.metadata, finalizers: ["example.com/nothing"] },
  }));
  await hpa.settled();
  t.same(hpa.writes, before, "what did not change is not written");
});

test("a change of the annotations or of the cluster's configuration changes what was made", async (t) => {
  const hpa = await start(t);
  await hpa.run();
  await create(hpa.client, { target: "70", window: "60s" });
  const spec = (holds: (of: HorizontalPodAutoscaler["spec"]) => boolean) =>
    hpa.until<HorizontalPodAutoscaler>(horizontalPodAutoscalers, (found) => found !== undefined && holds(found.spec));
  await spec(({ behavior }) => behavior?.scaleUp?.stabilizationWindowSeconds === 60);
  await hpa.edit(podAutoscalers, annotate({ metric: "memory", target: "256", "min-scale": "2" }));
  const changed = await spec(({ metrics }) => metrics?.[0]?.resource?.name === "memory");
  t.match(changed.spec, { minReplicas: 2, metrics: [{ resource: { target: { averageValue: "256Mi" } } }] });
  t.equal(changed.metadata.annotations?.["autoscaling.knative.dev/metric"], "memory");

  await hpa.edit<PodAutoscaler>(podAutoscalers, (pa) => {
    const { "autoscaling.knative.dev/window": _window, ...annotations } = pa.metadata.annotations ?? {};
    return { ...pa, metadata: { ...pa.metadata, annotations } };
  });
  await spec(({ behavior }) => behavior === undefined);
  await hpa.settled();
  await hpa.client.create(configMaps, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "config-autoscaler", namespace: system },
    data: { "max-scale": "7" },
  } as KubeObject);
  await spec(({ maxReplicas }) => maxReplicas === 7);

  await hpa.edit<HorizontalPodAutoscaler>(horizontalPodAutoscalers, (found) => ({
    ...found,
    spec: { ...found.spec, maxReplicas: 1, minReplicas: 1 },
  }));
  await spec(({ maxReplicas }) => maxReplicas === 7);
  await hpa.client.delete(horizontalPodAutoscalers, name, namespace);
  await spec(({ maxReplicas }) => maxReplicas === 7);
  t.pass("and what others changed or took away comes back");
});

test("a name that is taken is told of and left alone, and taken over when it is free", async (t) => {
  const hpa = await start(t);
  await hpa.client.create<HorizontalPodAutoscaler>(horizontalPodAutoscalers, foreign);
  await hpa.run();
  const pa = await create(hpa.client, { target: "70" });
  const blocked = await hpa.until<PodAutoscaler>(podAutoscalers, is("Ready", "False"));
  t.match(conditionOf(blocked, "Active"), {
    status: "False",
    reason: "NotOwned",
    message: `There is an existing HorizontalPodAutoscaler "${name}" that we do not own.`,
  });
  await hpa.settled();
  t.notOk(hpa.writes.some((write) => write.startsWith("update horizontalpodautoscalers")));
  await hpa.client.delete(horizontalPodAutoscalers, name, namespace);
  const made = await hpa.until<HorizontalPodAutoscaler>(
    horizontalPodAutoscalers,
    (found) => found?.spec.scaleTargetRef.name === target,
  );
  t.match(made.metadata.ownerReferences, owner(pa));
  await hpa.until<PodAutoscaler>(podAutoscalers, is("Active", "True"));
});

test("a refused HorizontalPodAutoscaler is told of and tried again", async (t) => {
  let refused = 0;
  const hpa = await start(t, (write) =>
    write.startsWith("create horizontalpodautoscalers") && refused++ < 2 ? "the quota is used up" : undefined,
  );
  await hpa.run();
  await create(hpa.client);
  const failed = await hpa.until<PodAutoscaler>(podAutoscalers, is("Active", "False"));
  t.match(conditionOf(failed, "Active"), {
    reason: "FailedCreate",
    message: `Failed to create HorizontalPodAutoscaler "${name}".`,
  });
  await hpa.until<PodAutoscaler>(podAutoscalers, is("Active", "True"));
  t.equal(refused, 3);
});

test("what bears the name of a PodAutoscaler of class kpa and is somebody else's stays", async (t) => {
  const hpa = await start(t);
  await hpa.client.create<HorizontalPodAutoscaler>(horizontalPodAutoscalers, foreign);
  await hpa.run();
  await create(hpa.client, { class: "kpa.autoscaling.knative.dev" });
  await hpa.settled();
  t.same(hpa.writes, []);
});

test("other classes are left alone, but for what was made here before the class became kpa", async (t) => {
  const hpa = await start(t);
  await hpa.run();
  await create(hpa.client, { class: "mine.example.com" });
  await hpa.settled();
  t.same(hpa.writes, [], "a class that is not ours");
  await hpa.edit(podAutoscalers, annotate({ class: "hpa.autoscaling.knative.dev" }));
  await hpa.until(horizontalPodAutoscalers, (found) => found !== undefined);
  await hpa.edit(podAutoscalers, annotate({ class: "mine.example.com" }));
  await hpa.settled();
  const written = [...hpa.writes];
  const scale = (maxReplicas: number) => (found: HorizontalPodAutoscaler) => ({
    ...found,
    spec: { ...found.spec, maxReplicas },
  });
  await hpa.edit<HorizontalPodAutoscaler>(horizontalPodAutoscalers, scale(3));
  await hpa.settled();
  t.same(hpa.writes, written, "the new class may use what it finds");
  await hpa.edit(podAutoscalers, annotate({ class: "kpa.autoscaling.knative.dev" }));
  await hpa.until(horizontalPodAutoscalers, (found) => found === undefined);
  t.pass("two autoscalers do not fight over one Deployment");
  await hpa.stop();
  const lease = await hpa.client.get<Lease>(leases, leaseName, system);
  t.equal(lease.spec?.holderIdentity, "", "at its end the lease is free");
});
