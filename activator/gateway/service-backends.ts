/**
 * Backends of routes that are ordinary Services, not revisions. They are few, so each has a watch of its own instead
 * of one over every Service of the cluster.
 */
import { endpoints, services, type Endpoints, type Service } from "../../api/core.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import { UpstreamError, type Exchange, type Upstream } from "../../proxy/exchange.ts";
import { plainText } from "../../proxy/plain-text.ts";
import type { Target } from "./route-table.ts";

type ServiceTarget = Extract<Target, { is: "service" }>;

/** Beyond it routes to further Services answer 503: each costs two watches. */
const maxServices = 500;
const syncTimeoutMs = 5000;
const maxRepicks = 2;

interface Watched {
  service: Informer<Service>;
  endpoints: Informer<Endpoints>;
  stop: AbortController;
}

export interface ServiceBackendsOptions {
  client: KubeClient;
  /** Addresses of an external name. */
  resolve: (name: string) => Promise<string[]>;
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

  async forward(exchange: Exchange, target: ServiceTarget): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      const upstreams = await this.#upstreams(target);
      const upstream = upstreams[Math.floor(Math.random() * upstreams.length)];
      if (upstream === undefined) {
        exchange.answer(503, "the route's backend has no ready endpoint\n", plainText);
        return;
      }
      try {
        await exchange.forward(upstream);
        return;
      } catch (error) {
        if (error instanceof UpstreamError && error.retriable && attempt < maxRepicks) continue;
        throw error;
      }
    }
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
    void watched.service.run(stop.signal);
    void watched.endpoints.run(stop.signal);
  }

  async #upstreams(target: ServiceTarget): Promise<Upstream[]> {
    const key = `${target.namespace}/${target.name}`;
    const watched = this.#watched.get(key);
    if (watched === undefined) return [];
    if (!watched.service.hasSynced || !watched.endpoints.hasSynced) {
      const limit = AbortSignal.timeout(syncTimeoutMs);
      await Promise.all([watched.service.synced(limit), watched.endpoints.synced(limit)]).catch(() => undefined);
    }
    const service = watched.service.get(key);
    if (service === undefined) return [];
    const port = service.spec.ports?.find(({ name, port }) => port === target.port || name === target.port);
    const protocol =
      port?.name === "http2" || port?.name === "h2c" || port?.appProtocol === "kubernetes.io/h2c" ? "h2c" : "http1";
    if (service.spec.type === "ExternalName") {
      const number = port?.port ?? (typeof target.port === "number" ? target.port : 80);
      const hosts = await this.#options.resolve(service.spec.externalName ?? "");
      return hosts.map((host) => ({ host, port: number, protocol }));
    }
    return (watched.endpoints.get(key)?.subsets ?? []).flatMap(({ addresses = [], ports = [] }) => {
      const found = ports.length === 1 ? ports[0] : ports.find(({ name }) => name === port?.name);
      return found === undefined ? [] : addresses.map(({ ip }) => ({ host: ip, port: found.port, protocol }));
    });
  }
}
