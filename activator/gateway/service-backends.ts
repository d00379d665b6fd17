/**
 * Backends of routes that are ordinary Services, not revisions. They are few, so each has a watch of its own instead
 * of one over every Service of the cluster.
 */
import { endpoints, services, type Endpoints, type Service, type ServicePort } from "../../api/core.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import { UpstreamError, type Exchange, type Upstream } from "../../proxy/exchange.ts";
import { answerOurError } from "../our-error.ts";
import type { Door, ServiceTarget } from "./route-table.ts";

/** Beyond it routes to further Services answer 503: each costs two watches. */
const maxServices = 500;
const syncTimeoutMs = 5000;
const maxRepicks = 2;

/** Where a Service leads. `gateway`: its external name is this gateway's own, so the request is routed again. */
export type Destination =
  | { is: "pods"; upstreams: readonly Upstream[] }
  | { is: "gateway"; door: Door }
  /** The API server has no such Service, or has not said so far. */
  | { is: "unknown" };

interface Watched {
  service: Informer<Service>;
  endpoints: Informer<Endpoints>;
  stop: AbortController;
}

export interface ServiceBackendsOptions {
  client: KubeClient;
  /** Addresses of an external name. */
  resolve: (name: string) => Promise<string[]>;
  /** The door that an external name leads to, when it is one of the gateway's own Services. */
  ownDoor: (name: string) => Door | undefined;
  /** A Service or its endpoints have changed. */
  onChange: () => void;
  log: Logger;
}

export class ServiceBackends {
  readonly #options: ServiceBackendsOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: ServiceBackendsOptions) {
    this.#options = options;
  }

  /** Watches these and no others. */
  want(wanted: readonly { namespace: string; name: string }[]): void {
    const keys = new Map(wanted.map((each) => [`${each.namespace}/${each.name}`, each]));
    for (const [key, { stop }] of this.#watched) {
      if (keys.has(key)) continue;
      stop.abort();
      this.#watched.delete(key);
    }
    for (const [key, each] of keys) if (!this.#watched.has(key)) this.#watch(key, each);
  }

  close(): void {
    this.want([]);
  }

  /** Whether requests to it would find somebody. True of what is not watched: nothing is known against it. */
  hasBackend(target: ServiceTarget): boolean {
    const key = `${target.namespace}/${target.name}`;
    const watched = this.#watched.get(key);
    if (watched === undefined) return true;
    const { service, endpoints } = watched;
    if (!service.hasSynced || !endpoints.hasSynced) return false;
    if (service.get(key)?.spec.type === "ExternalName") return true;
    return (endpoints.get(key)?.subsets ?? []).some(({ addresses = [] }) => addresses.length > 0);
  }

  /** Waits a moment for a Service that was not heard of so far. Rejects when an external name cannot be resolved. */
  async destination(target: ServiceTarget): Promise<Destination> {
    const key = `${target.namespace}/${target.name}`;
    const watched = this.#watched.get(key);
    if (watched === undefined) return { is: "unknown" };
    if (!watched.service.hasSynced || !watched.endpoints.hasSynced) {
      const limit = AbortSignal.timeout(syncTimeoutMs);
      await Promise.all([watched.service.synced(limit), watched.endpoints.synced(limit)]).catch(() => undefined);
    }
    const service = watched.service.get(key);
    if (service === undefined) return { is: "unknown" };
    const port = service.spec.ports?.find(({ name, port }) => port === target.port || name === target.port);
    const protocol = isHttp2(port) ? "h2c" : "http1";
    if (service.spec.type === "ExternalName") {
      const { externalName = "" } = service.spec;
      const door = this.#options.ownDoor(externalName);
      if (door !== undefined) return { is: "gateway", door };
      const number = port?.port ?? (typeof target.port === "number" ? target.port : 80);
      const hosts = await this.#options.resolve(externalName);
      return { is: "pods", upstreams: hosts.map((host) => ({ host, port: number, protocol })) };
    }
    const upstreams = (watched.endpoints.get(key)?.subsets ?? []).flatMap(({ addresses = [], ports = [] }) => {
      const found = ports.length === 1 ? ports[0] : ports.find(({ name }) => name === port?.name);
      return found === undefined ? [] : addresses.map(({ ip }): Upstream => ({ host: ip, port: found.port, protocol }));
    });
    return { is: "pods", upstreams };
  }

  #watch(key: string, { namespace, name }: { namespace: string; name: string }): void {
    const { client, log } = this.#options;
    if (this.#watched.size >= maxServices) {
      log.warn({ service: key }, `routes lead to more than ${maxServices} Services; this one is not served`);
      return;
    }
    const stop = new AbortController();
    const only = { client, namespace, fieldSelector: `metadata.name=${name}`, log };
    const watched = {
      service: createInformer<Service>({ ...only, resource: services }),
      endpoints: createInformer<Endpoints>({ ...only, resource: endpoints }),
      stop,
    };
    this.#watched.set(key, watched);
    watched.service.onChange(this.#options.onChange);
    watched.endpoints.onChange(this.#options.onChange);
    void watched.service.run(stop.signal);
    void watched.endpoints.run(stop.signal);
    // A Service without endpoints brings no change, but its absence is known then.
    void Promise.all([watched.service.synced(stop.signal), watched.endpoints.synced(stop.signal)]).then(
      this.#options.onChange,
      () => undefined,
    );
  }
}

/** A pod of the Service, another one when nothing of the request had reached the one before. */
export async function forwardToService(exchange: Exchange, upstreams: readonly Upstream[]): Promise<void> {
  const left = [...upstreams];
  for (let attempt = 0; ; attempt += 1) {
    const [upstream] = left.splice(Math.floor(Math.random() * left.length), 1);
    if (upstream === undefined) return answerOurError(exchange, "no-endpoint");
    try {
      return await exchange.forward(upstream);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      if (error.retriable && attempt < maxRepicks && left.length > 0) continue;
      return answerOurError(exchange, "no-answer", error.message);
    }
  }
}

function isHttp2(port: ServicePort | undefined): boolean {
  return port?.name === "http2" || port?.name === "h2c" || port?.appProtocol === "kubernetes.io/h2c";
}
