/** Wakes one service from true zero (no process, endpoints empty), again and again, and says where the time went. */
import { Agent } from "node:http";
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { deployments, endpoints, pods, type Deployment, type Endpoints, type Pod } from "../api/core.ts";
import { podAutoscalers, type PodAutoscaler } from "../api/autoscaling.ts";
import { createInformer, type Informer } from "../kube/informer.ts";
import { silentLogger } from "../process/logger.ts";
import { Cluster } from "../test/e2e/cluster.ts";
import { quantile, rounded, type Row, type Scenario } from "./report.ts";

const revision = "cold-00001";
const steps = ["decide", "create", "start", "ready", "firstByte"] as const;
type Step = (typeof steps)[number];

export const coldStart: Scenario = async ({ quick }) => {
  const wakes = quick ? 3 : 20;
  await using cluster = new Cluster();
  const { kubeconfig } = await cluster.start("--no-sample");
  await cluster.k(
    `patch cm config-autoscaler -n knative-serving --type=merge -p ${JSON.stringify({ data: { "scale-to-zero-grace-period": "1s" } })}`,
  );
  const annotations = { "autoscaling.knative.dev/window": "6s" };
  const template = { metadata: { annotations }, spec: { containers: [{ image: "dev.local/hello" }] } };
  const service = {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name: "cold" },
    spec: { template },
  };
  await cluster.k("apply -f -", JSON.stringify(service));
  await cluster.k("wait ksvc/cold --for=condition=Ready --timeout=30s");

  const stop = new AbortController();
  const client = await kubeClientFromEnvironment({ KUBECONFIG: kubeconfig }, "swell-bench");
  const common = { client, namespace: "default", log: silentLogger };
  const labelSelector = `serving.knative.dev/revision=${revision}`;
  const deployment = createInformer<Deployment>({ ...common, resource: deployments, labelSelector });
  const pod = createInformer<Pod>({ ...common, resource: pods, labelSelector });
  const endpoint = createInformer<Endpoints>({ ...common, resource: endpoints });
  const autoscaler = createInformer<PodAutoscaler>({ ...common, resource: podAutoscalers });
  for (const informer of [deployment, pod, endpoint, autoscaler]) void informer.run(stop.signal);
  await Promise.all([deployment, pod, endpoint, autoscaler].map((informer) => informer.synced()));

  const times: Record<Step, number[]> = { decide: [], create: [], start: [], ready: [], firstByte: [] };
  for (let wake = 0; wake < wakes; wake++) {
    await until(autoscaler, (list) => list.every(({ status }) => status?.desiredScale === 0));
    await until(pod, (list) => list.length === 0);
    await until(endpoint, (list) =>
      list.every(
        (one) =>
          one.metadata.name !== `${revision}-private` || !one.subsets?.some(({ addresses }) => addresses?.length),
      ),
    );
    const startMs = performance.now();
    const after = (): number => performance.now() - startMs;
    const decided = until(deployment, ([found]) => (found?.spec.replicas ?? 0) > 0).then(after);
    const created = until(pod, (list) => list.length > 0).then(after);
    const started = until(
      pod,
      ([found]) => found?.status?.containerStatuses?.every(({ state }) => state?.running) === true,
    ).then(after);
    const ready = until(
      pod,
      ([found]) =>
        found?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true,
    ).then(after);
    const answer = await cluster.request("cold.default.localhost", { agent: new Agent() });
    const answeredMs = after();
    if (answer.status !== 200) throw new Error(`wake ${wake}: ${answer.status} ${answer.body}`);
    const [decideMs, createMs, processMs, readyMs] = await Promise.all([decided, created, started, ready]);
    for (const [step, value] of Object.entries({
      decide: decideMs,
      create: createMs,
      start: processMs,
      ready: readyMs,
      firstByte: answeredMs,
    }))
      times[step as Step].push(value);
    process.stdout.write(`${rounded(answeredMs, 0)} `);
  }
  process.stdout.write("ms\n");
  stop.abort();
  return steps.map((step): Row => ({
    scenario: `${wakes} wakes from zero`,
    contender: {
      decide: "replicas written",
      create: "pod created",
      start: "processes running",
      ready: "pod Ready in the API",
      firstByte: "answer complete",
    }[step],
    p50Ms: rounded(quantile(times[step], 0.5)),
    p99Ms: rounded(quantile(times[step], 0.99)),
    minMs: rounded(Math.min(...times[step])),
    maxMs: rounded(Math.max(...times[step])),
  }));
};

/** Resolves when `accept` says yes to what the informer holds; rejects after a minute. */
function until<T>(informer: Informer<T>, accept: (list: T[]) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let over = false;
    let unsubscribe = (): void => {};
    const finish = (settle: () => void): void => {
      over = true;
      clearTimeout(deadline);
      unsubscribe();
      settle();
    };
    const deadline = setTimeout(() => finish(() => reject(new Error("the state never came"))), 60_000);
    const look = (): void => {
      if (!over && accept(informer.list())) finish(resolve);
    };
    unsubscribe = informer.onChange(look);
    look();
    if (over) unsubscribe();
  });
}
