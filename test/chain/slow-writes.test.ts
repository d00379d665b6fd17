/** The whole autoscaler where the API server never answers the writes of one namespace. */
import { credentials } from "@grpc/grpc-js";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { test } from "tap";
import { parse } from "yaml";
import { podAutoscalers, type PodAutoscaler } from "../../api/autoscaling.ts";
import { customResourceDefinitions, deployments, namespaces, secrets, type Deployment } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { serverlessServices, type ServerlessService } from "../../api/networking.ts";
import { parseProcessConfig } from "../../autoscaler/config.ts";
import { run } from "../../autoscaler/run.ts";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer } from "../../kube/informer.ts";
import { inProcessClient } from "../../local/apiserver/in-process-client.ts";
import { createKindRegistry } from "../../local/apiserver/kinds/index.ts";
import { createRest } from "../../local/apiserver/rest.ts";
import { createLogger, silentLogger } from "../../process/logger.ts";
import { StatsClient } from "../../proto/gen/stats.ts";

const key = Buffer.alloc(32, 3);
const crds = path.join(import.meta.dirname, "../../manifests/crds");
/** An address of its own, so that the usual ports are free. */
const address = `127.78.${(process.pid >> 8) & 0xff}.${process.pid & 0xff || 1}`;
/** More revisions with writes that hang than there are workers to reconcile them. */
const [hanging, fine] = [100, 10];

test(
  "revisions of other namespaces are woken, and say so, while all writes of one hang",
  { timeout: 60_000 },
  async (t) => {
    const log = createLogger("autoscaler", process.env["SWELL_LOG_LEVEL"] ?? "silent");
    const rest = await createRest({ file: ":memory:", kinds: createKindRegistry(), log });
    const inner = inProcessClient(rest, { username: "system:admin", groups: ["system:masters"] });
    const hung = new Set<string>();
    const client: KubeClient = {
      ...inner,
      patch(...[resource, name, namespace, patch, options]: Parameters<KubeClient["patch"]>) {
        if (namespace !== "slow") return inner.patch(resource, name, namespace, patch, options);
        hung.add(name);
        return new Promise(() => undefined);
      },
    };
    for (const file of readdirSync(crds))
      if (/^(podautoscaler|metric|serverlessservice)\.yaml$/u.test(file))
        await inner.create(customResourceDefinitions, parse(readFileSync(path.join(crds, file), "utf8")) as KubeObject);
    for (const name of ["knative-serving", "slow", "fine"])
      await inner.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await inner.create<KubeObject>(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "swell-stats-token-key", namespace: "knative-serving" },
      data: { key: key.toString("base64") },
    } as KubeObject);
    const revisions = [
      ...Array.from({ length: hanging }, (_, at) => ({ namespace: "slow", name: `r-${at}` })),
      ...Array.from({ length: fine }, (_, at) => ({ namespace: "fine", name: `r-${at}` })),
    ];
    for (const { namespace, name } of revisions) await populate(inner, namespace, name);

    const stop = new AbortController();
    const running = run(
      client,
      parseProcessConfig({ POD_NAME: "autoscaler-1", SWELL_BIND_ADDRESS: address }),
      log,
      stop.signal,
    );
    t.teardown(async () => {
      stop.abort();
      await running;
      await rest.close();
    });
    const followed = { client: inner, log: silentLogger };
    const serverless = createInformer<ServerlessService>({ ...followed, resource: serverlessServices });
    const deployed = createInformer<Deployment>({ ...followed, resource: deployments });
    const autoscalers = createInformer<PodAutoscaler>({ ...followed, resource: podAutoscalers });
    for (const informer of [serverless, deployed, autoscalers]) void informer.run(stop.signal);
    await Promise.all([serverless.synced(), deployed.synced(), autoscalers.synced()]);

    // The controller's part: a private Service for each.
    const named = new Set<string>();
    const all = Promise.withResolvers<void>();
    const name = async (sks: ServerlessService): Promise<void> => {
      const id = `${sks.metadata.namespace}/${sks.metadata.name}`;
      if (named.has(id)) return;
      named.add(id);
      const status = { serviceName: sks.metadata.name!, privateServiceName: `${sks.metadata.name}-private` };
      await inner.update(serverlessServices, { ...sks, status }, { subresource: "status" });
      if (named.size === revisions.length) all.resolve();
    };
    serverless.onChange(({ object }) => void name(object).catch(all.reject));
    for (const sks of serverless.list()) await name(sks);
    await all.promise;

    const woken = Promise.withResolvers<void>();
    const look = (): void => {
      const areWritten = deployed.list("fine").every(({ spec }) => spec.replicas === 1);
      if (areWritten && autoscalers.list("fine").every(({ status }) => status?.desiredScale === 1)) woken.resolve();
    };
    deployed.onChange(look);
    autoscalers.onChange(look);
    const stats = new StatsClient(`${address}:8082`, credentials.createInsecure());
    t.teardown(() => stats.close());
    const activator = stats.activator();
    activator.on("error", () => {}).resume();
    const hello = { pod: "activator-1", token: statsToken(key, "activator"), epoch: 1 };
    activator.write({ body: { $case: "hello", value: hello } });
    const none = { clockMs: 1, requestSeconds: 0, proxiedRequestSeconds: 0, proxiedArrivals: 0, proxiedInFlight: 0 };
    const held = revisions.map((revision) => ({ revision, load: { ...none, arrivals: 1, inFlight: 1 } }));
    activator.write({ body: { $case: "load", value: { sequence: 1, revisions: held } } });
    await woken.promise;
    t.ok(hung.size > 0, `${hung.size} writes hang`);
    t.ok(hung.size < hanging / 2, "and no more than the namespace's share");
  },
);

async function populate(client: KubeClient, namespace: string, name: string): Promise<void> {
  const labels = { "serving.knative.dev/revision": name };
  const template = { metadata: { labels }, spec: { containers: [{ name: "user", image: "x" }] } };
  await client.create<KubeObject>(deployments, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels },
    spec: { replicas: 0, selector: { matchLabels: labels }, template },
  } as KubeObject);
  await client.create<KubeObject>(podAutoscalers, {
    apiVersion: "autoscaling.internal.knative.dev/v1alpha1",
    kind: "PodAutoscaler",
    metadata: { name, namespace, labels },
    spec: {
      containerConcurrency: 10,
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      protocolType: "http1",
      reachability: "Reachable",
    },
  } as KubeObject);
}
