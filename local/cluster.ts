/** Composes a local cluster and runs it until it is told to stop. */
import { closeSync, mkdirSync, openSync, renameSync } from "node:fs";
import path from "node:path";
import { configMaps, type ConfigMap, endpoints, services, type Endpoints, type Service } from "../api/core.ts";
import { defaultSystemNamespace } from "../api/keys.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../kube/client.ts";
import type { Logger } from "../process/logger.ts";
import { startApiServer, type ApiServer } from "./apiserver/server.ts";
import { defaultFlags, type ClusterConfig } from "./config.ts";
import { kubeconfig, loadCredentials, writePrivate } from "./credentials.ts";
import { lockFolder } from "./data-folder.ts";
import { ImageStore, imageFolder } from "./image/store.ts";
import { install, type Manifests } from "./install.ts";
import { startNodeAgent } from "./node/agent.ts";
import { ProcessRecords, type ProcessRecord } from "./node/process-records.ts";
import {
  defaultDomain,
  deploySample,
  platformRuns,
  sampleImage,
  sampleReady,
  setDomain,
  webhookRegistered,
  type Platform,
} from "./platform.ts";
import { claimPodNetwork, gatewayPort, isFree, loopbackAddresses, portError, publishPorts } from "./ports.ts";
import { copyPrograms } from "./program-copies.ts";
import type { Addresses, Progress } from "./progress.ts";
import { sampleAddresses } from "./sample-addresses.ts";
import { startWorkloadControllers } from "./workloads/controllers.ts";

/** All that the cluster process needs to know. */
export interface ClusterInput {
  config: ClusterConfig;
  /** Program name → bundle. */
  bundles: Readonly<Record<string, string>>;
  manifests: Manifests;
  /** The project's folder. */
  root: string;
  /** Where this process writes until it holds the data folder. */
  startLog: string;
}

export interface ClusterOptions {
  input: ClusterInput;
  /** When this start began. */
  startedMs: number;
  report: (progress: Progress) => void;
  log: Logger;
}

/** What the platform's images are called; their tag is the project's version. */
const platformImages = ["activator", "autoscaler", "autoscaler-hpa", "controller", "webhook", "queue-proxy"] as const;
const imageTag = "0.1.0";

const nodeName = "local";
const usualPort = Number(defaultFlags.gatewayPort);
const readyWithinMs = 60_000;
const sampleWithinMs = 20_000;

/** Resolves after `stop`, when every process of the cluster has ended. Rejects when it cannot start. */
export async function runCluster(options: ClusterOptions, stop: AbortSignal): Promise<void> {
  const { input, startedMs, report, log } = options;
  const { config } = input;
  const lock = lockFolder(config.data);
  lock.describe({ pid: process.pid });
  keepLog(config.data, input.startLog);
  /** Ended in reverse order. */
  const ends: (() => Promise<void> | void)[] = [() => lock.release()];
  let lastStepMs = startedMs;
  const step = (text: string): void => {
    const nowMs = Date.now();
    report({ is: "step", text, tookMs: nowMs - lastStepMs });
    lastStepMs = nowMs;
  };

  try {
    const nodeFolder = path.join(config.data, "node");
    // After a kill -9 the gateway's pod may still hold its port.
    const leftovers = await endLeftovers(nodeFolder);
    const [gateway, network, credentials] = await Promise.all([
      gatewayPort(config.gatewayPort),
      claimPodNetwork(config.data),
      loadCredentials(path.join(config.data, "credentials"), startedMs),
    ]);
    ends.push(() => network.release());
    // With the usual gateway port this is the machine's usual cluster, and URLs without a port are its.
    const plain = gateway === usualPort && (await isFree(80));
    const published = publishPorts({ gateway, plain });
    ends.push(() => published.close());

    const server = await startServer(config, credentials, log);
    ends.push(() => server.close());
    const apiPort = server.ports[0] ?? config.apiPort;
    const api = `https://127.0.0.1:${apiPort}`;
    const gatewayUrl = `http://127.0.0.1:${gateway}`;
    const kubeconfigFile = path.join(config.data, "kubeconfig");
    await writePrivate(kubeconfigFile, kubeconfig(credentials, api));
    lock.describe({ pid: process.pid, gateway: gatewayUrl, api });
    step("API server");

    const { client } = server;
    const platform: Platform = { client, log };
    const controllers = new AbortController();
    await ownService(client, apiPort);
    // Where clients that ask the cluster for its ingress find it, whatever its port is.
    const nodePorts = { [`${defaultSystemNamespace}/gateway`]: { http: gateway } };
    const workloads = startWorkloadControllers({ client, log, rootCa: credentials.ca, nodePorts }, controllers.signal);
    workloads.catch((error: unknown) => log.error({ err: error }, "the workload controllers stopped"));
    // Ended before the agent: they would replace the pods that it ends.
    const endControllers = async (): Promise<void> => {
      controllers.abort();
      await Promise.allSettled([workloads]);
    };
    ends.push(endControllers);
    const agent = await startNodeAgent({
      client,
      folder: nodeFolder,
      leftovers,
      nodeName,
      podCidr: network.prefix,
      images: registerImages(input),
      nodeBin: process.execPath,
      issueToken: (namespace, account, podUid) => credentials.issueToken(namespace, account, podUid),
      apiServer: { url: api, ca: credentials.ca },
      hostListen: (pod, services) => published.listen(pod, services),
      log,
    });
    server.setPodBackend(agent.pods);
    ends.push(async () => {
      await endControllers();
      await agent.stop(); // the API server stays until then: pods say goodbye to it
    });

    const ready = await bringUp({ ...options, platform, installer: server.installer, step }, stop);
    if (ready !== undefined) {
      const alsoAt = plain ? ["http://127.0.0.1"] : [];
      const { domain, sampleUrl } = ready;
      const addresses: Addresses = {
        kubeconfig: kubeconfigFile,
        gateway: gatewayUrl,
        alsoAt,
        api,
        data: config.data,
        domain,
        ...(sampleUrl === undefined ? {} : { sample: sampleAddresses(sampleUrl, gateway) }),
      };
      report({ is: "ready", addresses });
      await aborted(stop);
    }
  } finally {
    for (const end of ends.toReversed())
      await (async () => end())().catch((error: unknown) => log.error({ err: error }, "stopping met an error"));
  }
}

interface BringUp extends ClusterOptions {
  platform: Platform;
  installer: KubeClient;
  step: (text: string) => void;
}

/** Installs the platform and waits until it works; undefined when it was told to stop meanwhile. */
async function bringUp(
  { input, startedMs, platform, installer, step, log, report }: BringUp,
  stop: AbortSignal,
): Promise<{ domain: string; sampleUrl: string | undefined } | undefined> {
  const { config, manifests } = input;
  const limit = AbortSignal.timeout(readyWithinMs);
  const ended = new AbortController();
  const signal = AbortSignal.any([stop, limit, ended.signal]);
  try {
    const stored = await domainNow(platform.client);
    const domain = config.domain ?? stored ?? defaultFlags.domain;
    await install(installer, withDomain(manifests, domain));
    step("platform installed");

    const registered = webhookRegistered(platform, signal);
    const sample = registered.then(async () => {
      if (stored !== undefined && stored !== domain) await setDomain(platform, domain, signal);
      if (config.sample) await deploySample(platform, signal);
    });
    sample.catch(() => {}); // it is waited for below, after the platform
    await Promise.all([platformRuns(platform, startedMs, signal), registered]);
    step("platform runs");
    await sample;
    if (!config.sample) return { domain, sampleUrl: undefined };
    const sampleUrl = await sampleReady(
      platform,
      domain,
      AbortSignal.any([signal, AbortSignal.timeout(sampleWithinMs)]),
    ).catch((error: unknown) => {
      // The platform is of use without it.
      if (!stop.aborted) report({ is: "note", text: (error as Error).message });
      return undefined;
    });
    if (sampleUrl !== undefined) step("sample runs");
    return { domain, sampleUrl };
  } catch (error) {
    if (stop.aborted) return undefined;
    log.error({ err: error }, "the platform does not come up");
    const why = limit.aborted ? `the platform was not ready within ${readyWithinMs / 1000} s: ` : "";
    throw new Error(`${why}${(error as Error).message}; logs: ${path.join(config.data, "cluster.log")}`, {
      cause: error,
    });
  } finally {
    ended.abort();
  }
}

/** This process's log becomes the cluster's; the one of the start before it is kept. */
function keepLog(data: string, startLog: string): void {
  const file = path.join(data, "cluster.log");
  try {
    renameSync(file, path.join(data, "cluster.previous.log"));
  } catch {
    // the first start
  }
  renameSync(startLog, file);
}

async function endLeftovers(nodeFolder: string): Promise<ProcessRecord[]> {
  mkdirSync(nodeFolder, { recursive: true, mode: 0o700 });
  return new ProcessRecords(nodeFolder).endLeftovers();
}

async function startServer(
  config: ClusterConfig,
  credentials: Awaited<ReturnType<typeof loadCredentials>>,
  log: Logger,
): Promise<ApiServer> {
  const addresses = loopbackAddresses().map((host) => ({ host, port: config.apiPort }));
  const file = path.join(config.data, "cluster.db");
  // SQLite gives its other files the mode of this one, and Secrets lie in them.
  closeSync(openSync(file, "a", 0o600));
  try {
    return await startApiServer({
      file,
      addresses,
      tls: credentials.serving,
      authenticate: (bearer) => credentials.authenticate(bearer),
      authorize: "rbac",
      issueToken: (namespace, account, token) => credentials.issueToken(namespace, account, "", token),
      log,
    });
  } catch (error) {
    throw portError(error, config.apiPort, "--api-port");
  }
}

/** The Service by which clients inside the cluster find the API server. */
async function ownService(client: KubeClient, apiPort: number): Promise<void> {
  const metadata = {
    name: "kubernetes",
    namespace: "default",
    labels: { component: "apiserver", provider: "kubernetes" },
  };
  const service: Service = {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: {
      type: "ClusterIP",
      clusterIP: "10.96.0.1",
      clusterIPs: ["10.96.0.1"],
      ports: [{ name: "https", port: 443, protocol: "TCP", targetPort: apiPort }],
    },
  };
  const { provider: _, component: __, ...labels } = metadata.labels;
  const address: Endpoints = {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { ...metadata, labels },
    subsets: [{ addresses: [{ ip: "127.0.0.1" }], ports: [{ name: "https", port: apiPort, protocol: "TCP" }] }],
  };
  await client.create(services, service).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
  await client.create(endpoints, address).catch(async (error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
    await client.update(endpoints, address); // the port may be another one this time
  });
}

function registerImages({ config, bundles, root }: ClusterInput): ImageStore {
  const images = new ImageStore(imageFolder(config.data));
  const programs = copyPrograms(bundles, path.join(config.data, "programs"));
  for (const name of platformImages) {
    const program = programs[name];
    if (program === undefined) throw new Error(`there is no bundle of ${name}`);
    images.add({
      name: `dev.local/swell-${name}:${imageTag}`,
      directory: path.dirname(program),
      command: [process.execPath, program],
    });
  }
  // There without the sample service too: it is what the README's examples run.
  images.add({
    name: sampleImage,
    directory: path.join(root, "local", "samples", "hello"),
    command: ["node", "app.js"],
  });
  return images;
}

async function domainNow(client: KubeClient): Promise<string | undefined> {
  try {
    return defaultDomain(await client.get<ConfigMap>(configMaps, "config-domain", defaultSystemNamespace));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Only a new cluster takes its domain from here: a ConfigMap that exists keeps its data. */
function withDomain(manifests: Manifests, domain: string): Manifests {
  const core = manifests.core.map((object) =>
    object.kind === "ConfigMap" && object.metadata.name === "config-domain"
      ? { ...object, data: { [domain]: "" } }
      : object,
  );
  return { ...manifests, core };
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
