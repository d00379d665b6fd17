/** The effects of scaling: replicas and deletion costs written, and the question whether the activator is in the path. */
import { Agent, request } from "undici";
import { deployments, endpoints, pods as podResource, type Deployment, type Endpoints } from "../api/core.ts";
import { isNotFound, type KubeClient } from "../kube/client.ts";
import type { Logger } from "../process/logger.ts";
import { podDeletionCost, type CostChange } from "./deletion-cost.ts";
import { ScaleWrites } from "./scale-writes.ts";

/** Writes under way at once, in all and in one namespace. */
const total = 64;
const perNamespace = 24;
const writeMs = 5000;
/** A revision waits so long for its deletion costs; then it shrinks without them. */
const costsMs = 500;
const probeMs = 2000;
/** Public endpoints that are asked. */
const probedAddresses = 10;

export interface Scaler {
  /**
   * Sets the replicas of the Deployment of which this is the newest copy; resolves when they are stored. Revisions that
   * wait for their first pod go first.
   */
  write(deployment: Deployment, replicas: number): Promise<void>;
  /** Resolves when no revision waits to have its first pod asked for, or after this time. */
  wakesStarted(atMostMs: number): Promise<void>;
  /** Tells Kubernetes which pods to give up first. Never rejects, and takes no longer than its deadline. */
  writeCosts(changes: readonly CostChange[]): Promise<void>;
  /** Whether everything behind the public Service of a revision answers as an activator. */
  probe(service: { namespace: string; name: string }, signal: AbortSignal): Promise<boolean>;
  /** Writes that wait. */
  readonly waiting: number;
  close(): Promise<void>;
}

export interface ScalerOptions {
  client: KubeClient;
  log: Logger;
  /** Calls back once, later; returns what cancels it. */
  after: (ms: number, call: () => void) => () => void;
  nowMs: () => number;
}

export function createScaler({ client, log, after, nowMs }: ScalerOptions): Scaler {
  const writes = new ScaleWrites({
    total,
    perNamespace,
    deadlineMs: writeMs,
    after,
    async write({ namespace, name }, replicas) {
      const startMs = nowMs();
      await client.patch(
        deployments,
        name,
        namespace,
        { is: "json", operations: [{ op: "add", path: "/spec/replicas", value: replicas }] },
        { subresource: "scale" },
      );
      log.info({ namespace, deployment: name, replicas, ms: nowMs() - startMs }, "scaled");
    },
  });
  /** What was written on the strength of each copy: the next one comes a moment later. */
  const written = new WeakMap<Deployment, number>();
  // A kept connection could lead to where the endpoints pointed before.
  const agent = new Agent({ connect: { timeout: probeMs }, pipelining: 0, keepAliveTimeout: 1 });

  const asksActivator = async (address: string, port: number, host: string, signal: AbortSignal): Promise<boolean> => {
    const authority = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
    const { statusCode, body } = await request(`http://${authority}/healthz`, {
      dispatcher: agent,
      headers: { host, "user-agent": "Knative-Autoscaling-Probe", "k-network-probe": "activator" },
      signal,
    });
    return statusCode === 200 && (await body.text()) === "activator";
  };

  return {
    async write(deployment, replicas) {
      if (written.get(deployment) === replicas) return;
      const { name = "", namespace = "" } = deployment.metadata;
      await writes.set({ namespace, name }, replicas, (deployment.spec.replicas ?? 1) === 0);
      written.set(deployment, replicas);
    },

    wakesStarted: (atMostMs) => writes.wakesStarted(atMostMs),

    async writeCosts(changes) {
      const late = Promise.withResolvers<"late">();
      const cancel = after(costsMs, () => late.resolve("late"));
      const patches = changes.map(({ pod, cost }) =>
        client.patch(podResource, pod.metadata.name!, pod.metadata.namespace, {
          is: "merge",
          body: { metadata: { annotations: { [podDeletionCost]: String(cost) } } },
        }),
      );
      const result = await Promise.race([Promise.allSettled(patches), late.promise]);
      cancel();
      const { namespace } = changes[0]?.pod.metadata ?? {};
      if (result === "late") log.warn({ namespace, pods: changes.length }, "deletion costs are late: scaled without");
      else
        for (const each of result)
          if (each.status === "rejected" && !isNotFound(each.reason))
            log.warn({ namespace, err: each.reason as unknown }, "a deletion cost was not written");
    },

    async probe({ namespace, name }, signal) {
      let found: Endpoints;
      try {
        found = await client.get<Endpoints>(endpoints, name, namespace);
      } catch (error) {
        if (isNotFound(error)) return false;
        throw error;
      }
      const targets = (found.subsets ?? []).flatMap((subset) => {
        const port = subset.ports?.find((candidate) => candidate.name === "http" || candidate.name === "http2")?.port;
        return port === undefined ? [] : (subset.addresses ?? []).map(({ ip }) => ({ ip, port }));
      });
      if (targets.length === 0) return false;
      const deadline = AbortSignal.any([signal, AbortSignal.timeout(probeMs)]);
      const answers = await Promise.allSettled(
        targets
          .slice(0, probedAddresses)
          .map(({ ip, port }) => asksActivator(ip, port, `${name}.${namespace}`, deadline)),
      );
      for (const answer of answers)
        if (answer.status === "rejected") log.debug({ namespace, name, err: answer.reason as unknown }, "probe failed");
      return answers.every((answer) => answer.status === "fulfilled" && answer.value);
    },

    get waiting() {
      return writes.waiting;
    },

    async close() {
      writes.close();
      await agent.destroy();
    },
  };
}
