/** Whether the platform that was installed works: its pods, its webhook, the sample. */
import {
  configMaps,
  deployments as deploymentResource,
  mutatingWebhookConfigurations,
  pods as podResource,
  validatingWebhookConfigurations,
  type ConfigMap,
  type Deployment,
  type Pod,
} from "../api/core.ts";
import { isReady as isKnativeReady } from "../api/conditions.ts";
import { defaultSystemNamespace } from "../api/keys.ts";
import type { KubeObject } from "../api/meta.ts";
import { kServices, type KService } from "../api/serving.ts";
import { BackOff, pause } from "../kube/back-off.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../kube/client.ts";
import { createInformer, type Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";
import { isReady as isPodReady } from "./workloads/pod-state.ts";

export const sampleName = "hello";
export const sampleImage = "dev.local/hello";
const sampleNamespace = "default";

/** Cannot happen with what the project ships, so the message says where to look. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";
}

export interface Platform {
  client: KubeClient;
  log: Logger;
}

type WebhookConfiguration = KubeObject & { webhooks?: { rules?: unknown[]; clientConfig?: { caBundle?: string } }[] };

/**
 * Resolves when every Deployment of the system namespace has a pod of this start that is ready. Pods are stored from
 * an earlier start with the state they had then, so a ready pod counts only if its containers started since.
 */
export async function platformRuns(platform: Platform, startedMs: number, signal: AbortSignal): Promise<void> {
  const namespace = defaultSystemNamespace;
  const deployments = follow<Deployment>(platform, { resource: deploymentResource, namespace }, signal);
  const pods = follow<Pod>(platform, { resource: podResource, namespace }, signal);
  await until([deployments, pods], signal, () => waitingFor(deployments.list(), pods.list(), startedMs).length === 0, {
    describe: () => `not ready: ${waitingFor(deployments.list(), pods.list(), startedMs).join("; ")}`,
  });
}

/** One sentence for each Deployment that no ready pod of this start serves. */
export function waitingFor(deployments: readonly Deployment[], pods: readonly Pod[], startedMs: number): string[] {
  if (deployments.length === 0) return ["nothing is installed"];
  return deployments.flatMap((deployment) => {
    const name = deployment.metadata.name ?? "";
    const own = pods.filter((pod) => pod.metadata.labels?.["app"] === name);
    const replicas = deployment.spec.replicas ?? 1;
    if (replicas === 0 || own.some((pod) => isPodReady(pod) && startedSince(pod, startedMs))) return [];
    return [`${name} (${own.map(stateOf).join(", ") || "it has no pod"})`];
  });
}

function startedSince(pod: Pod, startedMs: number): boolean {
  const wholeSecond = Math.floor(startedMs / 1000) * 1000;
  return (pod.status?.containerStatuses ?? []).every(
    ({ state }) => Date.parse(state?.running?.startedAt ?? "") >= wholeSecond,
  );
}

function stateOf(pod: Pod): string {
  const waiting = pod.status?.containerStatuses?.map(({ state }) => state?.waiting ?? state?.terminated);
  const cause = waiting?.find((state) => state !== undefined);
  return cause === undefined
    ? `pod ${pod.metadata.name} is ${pod.status?.phase ?? "Pending"}`
    : `pod ${pod.metadata.name}: ${cause.reason ?? "ended"} ${cause.message ?? ""}`.trimEnd();
}

/** Resolves when the webhook has registered itself: from then on, what is written is defaulted and checked. */
export async function webhookRegistered(platform: Platform, signal: AbortSignal): Promise<void> {
  const informers = [mutatingWebhookConfigurations, validatingWebhookConfigurations].map((resource) =>
    follow<WebhookConfiguration>(platform, { resource }, signal),
  );
  const isRegistered = ({ webhooks = [] }: WebhookConfiguration) =>
    webhooks.every(({ rules = [], clientConfig }) => rules.length > 0 && (clientConfig?.caBundle ?? "") !== "");
  const unregistered = () =>
    informers.flatMap((informer) => informer.list()).filter((configuration) => !isRegistered(configuration));
  await until(
    informers,
    signal,
    () => informers.every((each) => each.list().length > 0) && unregistered().length === 0,
    {
      describe: () =>
        `the webhook has not registered ${unregistered()
          .map(({ metadata }) => metadata.name)
          .join(", ")}`,
    },
  );
}

/** Creates the sample where it is missing; goes on trying while the webhook's pod starts. */
export async function deploySample({ client, log }: Platform, signal: AbortSignal): Promise<void> {
  const sample: KService = {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name: sampleName, namespace: sampleNamespace },
    spec: {
      template: { spec: { containers: [{ name: "user-container", image: sampleImage }] } },
    },
  };
  await retried(signal, log, async () => {
    try {
      await client.get(kServices, sampleName, sampleNamespace);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await client.create(kServices, sample).catch((refusal: unknown) => {
        if (!isAlreadyExists(refusal)) throw refusal;
      });
    }
  });
}

/** Resolves with the sample's URL once it is ready and its name lies below `domain`. */
export async function sampleReady(platform: Platform, domain: string, signal: AbortSignal): Promise<string> {
  const samples = follow<KService>(
    platform,
    { resource: kServices, namespace: sampleNamespace, fieldSelector: `metadata.name=${sampleName}` },
    signal,
  );
  const sample = () => samples.get(`${sampleNamespace}/${sampleName}`);
  await until([samples], signal, () => isReadyBelow(domain, sample()), {
    describe: () => {
      const conditions = sample()?.status?.conditions ?? [];
      const causes = conditions
        .filter(({ status }) => status !== "True")
        .map(({ type, message }) => `${type} ${message}`);
      return `the sample is not ready: ${causes.join("; ") || "it has no status yet"}`;
    },
  });
  return sample()?.status?.url ?? "";
}

/** Just after a change of domain it is still ready under its old name. */
function isReadyBelow(domain: string, sample: KService | undefined): boolean {
  return sample !== undefined && isKnativeReady(sample) && (sample.status?.url ?? "").endsWith(`.${domain}`);
}

const domainConfig = "config-domain";

/** The domain that Routes get unless a selector of `config-domain` says otherwise; undefined when none is set. */
export function defaultDomain(config: ConfigMap | undefined): string | undefined {
  return Object.entries(config?.data ?? {}).find(([key, value]) => !key.startsWith("_") && value.trim() === "")?.[0];
}

/** Makes `domain` the default one, keeping those that have a selector. */
export async function setDomain({ client, log }: Platform, domain: string, signal: AbortSignal): Promise<void> {
  await retried(signal, log, async () => {
    const config = await client.get<ConfigMap>(configMaps, domainConfig, defaultSystemNamespace);
    const data = withDefaultDomain(config.data ?? {}, domain);
    if (data !== undefined) await client.update<ConfigMap>(configMaps, { ...config, data });
  });
}

/** Undefined when it is the default already. */
export function withDefaultDomain(data: Record<string, string>, domain: string): Record<string, string> | undefined {
  if (data[domain] === "") return undefined;
  const kept = Object.entries(data).filter(([key, value]) => key.startsWith("_") || value.trim() !== "");
  return { ...Object.fromEntries(kept), [domain]: "" };
}

function follow<T extends KubeObject>(
  { client, log }: Platform,
  what: Omit<Parameters<typeof createInformer<T>>[0], "client" | "log">,
  signal: AbortSignal,
): Informer<T> {
  const informer = createInformer<T>({ client, log, ...what });
  void informer.run(signal);
  return informer;
}

/** Looks again at each change. Rejects, with what is missing, when the signal aborts. */
async function until(
  informers: readonly Informer<KubeObject>[] | readonly Informer<never>[],
  signal: AbortSignal,
  isDone: () => boolean,
  { describe }: { describe: () => string },
): Promise<void> {
  const found = Promise.withResolvers<void>();
  const look = (): void => {
    if (informers.every((each) => each.hasSynced) && isDone()) found.resolve();
  };
  const onAbort = (): void => found.reject(new PlatformError(describe(), { cause: signal.reason }));
  const ends = (informers as readonly Informer<KubeObject>[]).map((each) => each.onChange(() => queueMicrotask(look)));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    await Promise.all([Promise.all(informers.map((each) => each.synced(signal))).then(look), found.promise]);
  } finally {
    for (const end of ends) end();
    signal.removeEventListener("abort", onAbort);
  }
}

/** Repeats a write that the webhook cannot answer yet, or that met another one. */
async function retried(signal: AbortSignal, log: Logger, write: () => Promise<void>): Promise<void> {
  const backOff = new BackOff({ firstMs: 20, maxMs: 500 });
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (signal.aborted) throw new PlatformError((error as Error).message, { cause: error });
      log.debug({ err: error }, "a write during the start is repeated");
      await pause(backOff.nextMs(), signal);
    }
  }
}
