/** The effects of scaling: replicas written, and the question whether the activator is in the path. */
import PQueue from "p-queue";
import { Agent, request } from "undici";
import { deployments, endpoints, type Endpoints } from "../api/core.ts";
import { isNotFound, type KubeClient } from "../kube/client.ts";
import type { Logger } from "../process/logger.ts";

/** Writes under way at once. */
const concurrency = 32;
const writeMs = 10_000;
const probeMs = 2000;
/** Public endpoints that are asked. */
const probedAddresses = 10;

export interface Scaler {
  /** Sets the Deployment's replicas; those who wait for their first pod go first. */
  write(target: { namespace: string; name: string }, replicas: number, from: number): Promise<void>;
  /** Whether everything behind the public Service of a revision answers as an activator. */
  probe(service: { namespace: string; name: string }, signal: AbortSignal): Promise<boolean>;
  /** Writes that wait. */
  readonly waiting: number;
  close(): Promise<void>;
}

export function createScaler(options: { client: KubeClient; log: Logger }): Scaler {
  const { client, log } = options;
  const writes = new PQueue({ concurrency, timeout: writeMs });
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
    async write({ namespace, name }, replicas, from) {
      const started = performance.now();
      await writes.add(
        async () => {
          await client.patch(
            deployments,
            name,
            namespace,
            { is: "json", operations: [{ op: "add", path: "/spec/replicas", value: replicas }] },
            { subresource: "scale" },
          );
        },
        { priority: from === 0 ? 1 : 0 },
      );
      log.info(
        { namespace, deployment: name, from, to: replicas, ms: Math.round(performance.now() - started) },
        "scaled",
      );
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
      return writes.size;
    },

    async close() {
      writes.clear();
      await agent.destroy();
    },
  };
}
