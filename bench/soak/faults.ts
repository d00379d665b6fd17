/** What is done to the platform and its pods while they serve. Each fault ends when all is as wanted again. */
import { existsSync, readFileSync } from "node:fs";
import type { Pod } from "../../api/core.ts";
import type { KubeList } from "../../api/meta.ts";
import type { KService } from "../../api/serving.ts";
import { processTree, type Cluster } from "../../test/e2e/cluster.ts";
import { programs } from "../process-accounting.ts";
import type { Fault, Ledger } from "./ledger.ts";
import type { Random } from "./random.ts";
import { apply, services, type SoakService } from "./services.ts";

export const system = "knative-serving";
const convergeSeconds = 60;

export interface FaultContext {
  cluster: Cluster;
  ledger: Ledger;
  random: Random;
  /** Versions of the services so far. */
  versions: Map<string, number>;
}

export interface FaultKind {
  name: string;
  killed: boolean;
  run: (context: FaultContext, fault: Fault) => Promise<void>;
}

const platform = ["activator", "autoscaler", "controller", "webhook"] as const;

/** Ends one pod of a platform program as `kubectl delete` does, and waits until another is in its place. */
export async function deleteProgram({ cluster, random }: FaultContext, name: string): Promise<void> {
  const pods = await podsOf(cluster, system, `app=${name}`);
  if (pods.length === 0) throw new Error(`there is no ${name}`);
  const pod = random.pick(pods);
  await cluster.k(`delete pod ${pod.metadata.name} -n ${system} --wait=false`);
  await gone(cluster, system, pod);
  await available(cluster, name);
}

/** SIGKILL to one pod of a platform program; waits until it runs again. */
export async function killProgram(context: FaultContext, fault: Fault, name: string): Promise<void> {
  const { cluster, random } = context;
  const pod = random.pick(await podsOf(cluster, system, `app=${name}`));
  await kill(context, fault, pod, name);
  await restarted(cluster, system, pod);
  await available(cluster, name);
}

/** Applies a new revision of a service; what it resolves with waits for the rollout's end. */
export async function rollOut(
  { cluster, versions }: FaultContext,
  service: SoakService,
): Promise<() => Promise<unknown>> {
  const version = (versions.get(service.name) ?? 0) + 1;
  versions.set(service.name, version);
  await apply(cluster, service, version);
  const latest = `${service.name}-${String(version + 1).padStart(5, "0")}`;
  return () =>
    cluster.until<KService>(
      `ksvc ${service.name}`,
      ({ status }) => status?.traffic?.[0]?.revisionName === latest,
      convergeSeconds * 1000,
    );
}

const graceful: FaultKind[] = [
  ...platform.map((name) => ({
    name: `delete ${name}`,
    killed: false,
    run: (context: FaultContext) => deleteProgram(context, name),
  })),
  {
    name: "delete a pod",
    killed: false,
    run: async (context) => {
      const pod = await anyPod(context);
      if (pod === undefined) return;
      await context.cluster.k(`delete pod ${pod.metadata.name} --wait=false`);
      await gone(context.cluster, "default", pod);
      await settled(context);
    },
  },
  {
    name: "roll out a revision",
    killed: false,
    run: async (context) => {
      const ended = await rollOut(context, context.random.pick(services));
      await ended();
      await settled(context);
    },
  },
  {
    name: "activators 2 to 1 to 2",
    killed: false,
    run: async ({ cluster }) => {
      const before = await podsOf(cluster, system, "app=activator");
      await cluster.k(`scale deploy activator -n ${system} --replicas=1`);
      await untilCount(cluster, before.length - 1);
      await cluster.k(`scale deploy activator -n ${system} --replicas=${before.length}`);
      await untilCount(cluster, before.length);
      await available(cluster, "activator");
    },
  },
  {
    name: "restart the activators",
    killed: false,
    run: async ({ cluster }) => {
      const before = await podsOf(cluster, system, "app=activator");
      await cluster.k(`rollout restart deploy activator -n ${system}`);
      await cluster.k(`rollout status deploy activator -n ${system} --timeout=${convergeSeconds}s`);
      for (const pod of before) await gone(cluster, system, pod);
    },
  },
];

const kills: FaultKind[] = [
  ...platform.map((name) => ({
    name: `kill -9 ${name}`,
    killed: true,
    run: (context: FaultContext, fault: Fault) => killProgram(context, fault, name),
  })),
  ...(["queue-proxy", "app"] as const).map((name) => ({
    name: `kill -9 a ${name}`,
    killed: true,
    run: async (context: FaultContext, fault: Fault) => {
      const pod = await anyPod(context);
      if (pod === undefined) return;
      await kill(context, fault, pod, name);
      await restarted(context.cluster, "default", pod);
      await settled(context);
    },
  })),
];

/** Each of them once, in an order of chance, then again. */
export function* faultOrder(random: Random, kinds: "graceful" | "kills"): Generator<FaultKind, never> {
  for (;;) yield* random.shuffled(kinds === "graceful" ? graceful : kills);
}

export async function runFault(context: FaultContext, kind: FaultKind): Promise<void> {
  const fault = context.ledger.begin(kind.name, kind.killed);
  try {
    await kind.run(context, fault);
  } finally {
    context.ledger.end(fault);
  }
}

/** All services are Ready and every platform Deployment is complete. */
export async function settled({ cluster }: FaultContext): Promise<void> {
  await cluster.k(`wait ksvc --all --for=condition=Ready --timeout=${convergeSeconds}s`);
}

export async function available(cluster: Cluster, name: string): Promise<void> {
  await cluster.k(`rollout status deploy ${name} -n ${system} --timeout=${convergeSeconds}s`);
}

async function podsOf(cluster: Cluster, namespace: string, labelSelector: string): Promise<Pod[]> {
  const list = await cluster.k(`get pods -n ${namespace} -l ${labelSelector} -o json`);
  return (JSON.parse(list) as KubeList<Pod>).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

async function anyPod({ cluster, random }: FaultContext): Promise<Pod | undefined> {
  const pods = await podsOf(cluster, "default", "serving.knative.dev/service");
  return pods.length === 0 ? undefined : random.pick(pods);
}

async function gone(cluster: Cluster, namespace: string, { metadata }: Pod): Promise<void> {
  await cluster.k(`wait pod/${metadata.name} -n ${namespace} --for=delete --timeout=${convergeSeconds}s`);
}

async function restarted(cluster: Cluster, namespace: string, { metadata, status }: Pod): Promise<void> {
  const count = (pod: Pod): number =>
    (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
  const before = count({ status } as Pod);
  const deadlineMs = Date.now() + convergeSeconds * 1000;
  for (;;) {
    const { code, stdout } = await cluster.kubectl(["get", "pod", metadata.name!, "-n", namespace, "-o", "json"]);
    if (code !== 0) return; // scaled away meanwhile
    const pod = JSON.parse(stdout) as Pod;
    const ready = pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
    if (count(pod) > before && ready === true) return;
    if (Date.now() > deadlineMs) throw new Error(`pod ${metadata.name} did not come back`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

async function untilCount(cluster: Cluster, count: number): Promise<void> {
  const deadlineMs = Date.now() + convergeSeconds * 1000;
  while ((await podsOf(cluster, system, "app=activator")).length !== count) {
    if (Date.now() > deadlineMs) throw new Error(`there are not ${count} activators`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

/** SIGKILL to one container's process of a pod; every process of a pod has the pod's name for its host name. */
async function kill({ cluster, ledger }: FaultContext, fault: Fault, pod: Pod, program: string): Promise<void> {
  const tree = [...processTree(cluster.clusterPid()).keys()];
  const ours = programs(tree);
  const pid = tree.find((pid) => hostName(pid) === pod.metadata.name && (ours.get(pid) ?? "app") === program);
  if (pid === undefined) throw new Error(`pod ${pod.metadata.name} has no process of ${program}`);
  ledger.strike(fault);
  process.kill(pid, "SIGKILL");
  // Not merely a zombie: that is its first thread, while the others still hold its connections open.
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 2));
  ledger.gone(fault);
}

function hostName(pid: number): string | undefined {
  try {
    return /(?:^|\0)HOSTNAME=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
