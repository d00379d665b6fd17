/**
 * Everything the request path asks about a revision, kept current by the informers and the autoscalers' streams. Any
 * change means "look again": one place compares what is known and tells the throttler which pods it has.
 */
import type { EndpointSubset, Endpoints } from "../api/core.ts";
import { label, port } from "../api/keys.ts";
import { keyOf } from "../api/meta.ts";
import type { ServerlessService } from "../api/networking.ts";
import { protocolOf } from "../api/revision-shape.ts";
import type { Revision } from "../api/serving.ts";
import type { Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";
import type { PodAddress, RevisionDemand, RevisionPods } from "../proto/gen/stats.ts";
import type { TimeLimits } from "../proxy/timeouts.ts";
import type { ConcurrencyReporter, RevisionStats } from "./concurrency-reporter.ts";
import { ownPlaces, ownSlice, type Demand } from "./pod-picker.ts";
import { RevisionBackends } from "./revision-backends.ts";
import { QueueBudget, Throttler } from "./throttler.ts";

export interface RevisionEntry {
  readonly namespace: string;
  readonly name: string;
  readonly labels: { service: string; configuration: string };
  readonly protocol: "http1" | "h2c";
  readonly limits: TimeLimits;
  readonly throttler: Throttler;
  readonly backends: RevisionBackends;
  readonly stats: RevisionStats;
  /** The ServerlessService is in Proxy mode: what passes here is counted here. */
  proxyMode: boolean;
  /** Who has requests of it, as the autoscaler on that stream sees it. */
  demands: { stream: string; activators: readonly Demand[]; overdue: NodeJS.Timeout | undefined } | undefined;
  readonly uid: string;
}

export interface RevisionSources {
  revisions: Informer<Revision>;
  serverlessServices: Informer<ServerlessService>;
  /** With {@link endpointsIndexes}. */
  endpoints: Informer<Endpoints>;
}

/** Private Endpoints by the revision they belong to. */
export const endpointsIndexes = {
  revision: ({ metadata }: Endpoints): string[] => {
    const revision = metadata.labels?.[label.revision];
    const isPrivate = metadata.labels?.[label.serviceType] === "Private";
    return isPrivate && revision !== undefined ? [`${metadata.namespace}/${revision}`] : [];
  },
};

export interface RevisionDirectoryOptions {
  sources: RevisionSources;
  reporter: ConcurrencyReporter;
  /** This activator's address, as Endpoints list it. */
  ownIp: string;
  /** Its name, as the autoscaler lists it. */
  ownPod: string;
  maxHeldPerRevision: number;
  maxHeld: number;
  maxHeldBytes: number;
  /** Some addresses wait for a probe. */
  onProbeWanted: (entry: RevisionEntry) => void;
  /** The revision is deleted. */
  onForgotten: (entry: RevisionEntry) => void;
  log: Logger;
}

/** Knative's, when a revision does not say (config-defaults). */
const defaultTimeoutSeconds = 300;
/** An autoscaler that has not answered a report by then is not waited for. */
const overdueMs = 500;

export class RevisionDirectory {
  readonly #options: RevisionDirectoryOptions;
  readonly #entries = new Map<string, RevisionEntry>();
  readonly #budget: QueueBudget;

  constructor(options: RevisionDirectoryOptions) {
    this.#options = options;
    this.#budget = new QueueBudget({ requests: options.maxHeld, bytes: options.maxHeldBytes });
    const { revisions, serverlessServices, endpoints } = options.sources;
    revisions.onChange((change) => {
      const key = keyOf(change.object);
      if (change.is === "deleted") this.#remove(key, change.object);
      else this.#add(key, change.object);
    });
    serverlessServices.onChange(({ object }) => this.#lookAgain(keyOf(object)));
    endpoints.onChange(({ object }) => {
      const [key] = endpointsIndexes.revision(object);
      // The public Service is named like its revision.
      this.#lookAgain(key ?? keyOf(object));
    });
  }

  get(namespace: string, name: string): RevisionEntry | undefined {
    return this.#entries.get(`${namespace}/${name}`);
  }

  all(): Iterable<RevisionEntry> {
    return this.#entries.values();
  }

  /** Requests held now, of all revisions. */
  get held(): number {
    return this.#budget.used;
  }

  /** What they take of the memory that is set aside for them. */
  get heldBytes(): number {
    return this.#budget.bytes;
  }

  /** An autoscaler told of pods. */
  hear(stream: string, told: readonly RevisionPods[]): void {
    for (const { revision, complete, pods } of told) {
      const entry = revision && this.get(revision.namespace, revision.name);
      if (entry === undefined) continue;
      const heard = pods.map(({ ip, port, pod, state, gone }) => ({
        address: addressOf({ ip, port }),
        pod,
        state,
        gone,
      }));
      entry.backends.hear(stream, heard, complete);
      this.#settle(entry);
    }
  }

  /** An autoscaler told who has requests. */
  share(stream: string, told: readonly RevisionDemand[]): void {
    for (const { revision, activators } of told) {
      const entry = revision && this.get(revision.namespace, revision.name);
      if (entry === undefined || entry.throttler.limit === 0) continue;
      clearTimeout(entry.demands?.overdue);
      entry.demands = { stream, activators, overdue: undefined };
      this.#settle(entry);
    }
  }

  forgetStream(stream: string): void {
    for (const entry of this.#entries.values()) {
      if (entry.demands?.stream === stream) entry.demands = undefined;
      entry.backends.forgetStream(stream);
      this.#settle(entry);
    }
  }

  /**
   * A request waits. If that is because others were said to have all places, the report of it brings a new word within
   * a round trip; without one the old word is forgotten.
   */
  waits(entry: RevisionEntry): void {
    const { demands } = entry;
    if (demands === undefined || demands.overdue !== undefined) return;
    if (demands.activators.some(({ pod }) => pod === this.#options.ownPod)) return;
    demands.overdue = setTimeout(() => {
      if (entry.demands !== demands) return;
      entry.demands = undefined;
      this.#settle(entry);
    }, overdueMs).unref();
  }

  /** A pod could not be dialled. */
  suspect(entry: RevisionEntry, address: string): void {
    entry.backends.suspect(address);
    this.#settle(entry);
  }

  /** A probe of a pod passed. */
  passed(entry: RevisionEntry, address: string): void {
    entry.backends.passed(address);
    this.#settle(entry);
  }

  #add(key: string, revision: Revision): void {
    const { name = "", namespace = "", uid = "", labels = {} } = revision.metadata;
    const known = this.#entries.get(key);
    // A revision's spec never changes.
    if (known?.uid === uid) return;
    const spec = revision.spec;
    this.#entries.set(key, {
      namespace,
      name,
      uid,
      labels: { service: labels[label.service] ?? "", configuration: labels[label.configuration] ?? "" },
      protocol: protocolOf(spec),
      limits: {
        totalMs: (spec.timeoutSeconds ?? defaultTimeoutSeconds) * 1000,
        responseStartMs: (spec.responseStartTimeoutSeconds ?? 0) * 1000,
        idleMs: (spec.idleTimeoutSeconds ?? 0) * 1000,
      },
      throttler: new Throttler({
        containerConcurrency: spec.containerConcurrency ?? 0,
        maxWaiting: this.#options.maxHeldPerRevision,
        budget: this.#budget,
      }),
      backends: new RevisionBackends({ needsKubernetesReadiness: needsKubernetesReadiness(revision) }),
      stats: this.#options.reporter.of(namespace, name),
      proxyMode: true,
      demands: undefined,
    });
    this.#lookAgain(key);
  }

  #remove(key: string, { metadata }: Revision): void {
    // Requests that still run or wait keep the entry they have; it ends with them.
    const entry = this.#entries.get(key);
    this.#entries.delete(key);
    if (entry !== undefined) this.#options.onForgotten(entry);
    this.#options.reporter.forget(metadata.namespace ?? "", metadata.name ?? "");
  }

  #lookAgain(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const { serverlessServices, endpoints } = this.#options.sources;
    // Until it exists it is as good as in Proxy mode: that is how it starts.
    entry.proxyMode = (serverlessServices.get(key)?.spec.mode ?? "Proxy") === "Proxy";
    const subsets = endpoints.byIndex("revision", key).flatMap(({ subsets = [] }) => subsets);
    entry.backends.setEndpoints(
      addressesOf(subsets, "addresses", entry.protocol),
      addressesOf(subsets, "notReadyAddresses", entry.protocol),
    );
    this.#settle(entry);
  }

  /**
   * Without the autoscaler's word on who has requests: the activators that the public Endpoints list split the pods.
   * In Serve mode they list pods, so nobody's own address is among them and all take all.
   */
  #withoutWord({ namespace, name }: RevisionEntry, pods: readonly string[]): readonly string[] {
    const { subsets = [] } = this.#options.sources.endpoints.get(`${namespace}/${name}`) ?? {};
    const listed = subsets.flatMap(({ addresses = [] }) => addresses.map(({ ip }) => ip)).sort();
    return ownSlice(pods, listed, this.#options.ownIp);
  }

  #settle(entry: RevisionEntry): void {
    const pods = entry.backends.usable();
    const { throttler, demands } = entry;
    if (throttler.limit === 0) throttler.setPods(pods);
    else if (demands !== undefined && demands.activators.length > 0 && entry.proxyMode) {
      const places = ownPlaces(pods, throttler.limit, demands.activators, this.#options.ownPod);
      throttler.setPods([...places.keys()], places);
    } else throttler.setPods(this.#withoutWord(entry, pods));
    if (throttler.waiting > 0 || entry.backends.hasSuspects) this.#options.onProbeWanted(entry);
  }
}

/** Only the kubelet runs these probes, so only Kubernetes knows whether such a pod is ready. */
function needsKubernetesReadiness({ spec }: Revision): boolean {
  return spec.containers.some(
    ({ readinessProbe, startupProbe }) => readinessProbe?.exec !== undefined || startupProbe !== undefined,
  );
}

export const addressOf = ({ ip, port }: Pick<PodAddress, "ip" | "port">): string =>
  ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;

function addressesOf(
  subsets: readonly EndpointSubset[],
  list: "addresses" | "notReadyAddresses",
  protocol: "http1" | "h2c",
): string[] {
  const wanted = protocol === "h2c" ? port.queueHttp2 : port.queueHttp1;
  return subsets.flatMap((subset) => {
    const ports = subset.ports ?? [];
    const serving =
      ports.find(({ name }) => name === "http" || name === "http2") ?? ports.find(({ port }) => port === wanted);
    if (serving === undefined) return [];
    return (subset[list] ?? []).map(({ ip }) => addressOf({ ip, port: serving.port }));
  });
}
