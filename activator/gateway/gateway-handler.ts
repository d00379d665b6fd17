/** The door by host name: finds the route of a request and hands it to the revision's activation or to a Service. */
import { randomUUID } from "node:crypto";
import type { Exchange, Handler } from "../../proxy/exchange.ts";
import type { HeaderList } from "../../proxy/headers.ts";
import { answerHashProbe, hashHeader, probeHeader } from "../../proxy/network-probe.ts";
import type { Activate } from "../activation-handler.ts";
import { answerOurError } from "../our-error.ts";
import { pickSplit, type Door, type Route, type RouteTable, type ServiceTarget } from "./route-table.ts";
import { forwardToService, type Destination } from "./service-backends.ts";

/** Fields that only Knative's own parts set; a client's are not believed (data-plane 1.8). */
const internalFields = [
  "Knative-Serving-Revision",
  "Knative-Serving-Namespace",
  "K-Proxy-Request",
  "K-Original-Host",
  "K-Kubelet-Probe",
  "K-Passthrough-Lb",
];
/** A route may lead to another host of ours (a DomainMapping to its Route); more in a row would be a loop. */
const maxHops = 3;
/** The value of K-Network-Hash that asks the gateway for its own. */
const askForHash = "override";
/** What those who write the status of Ingresses call themselves (data-plane 3.3). */
const prober = "Knative-Ingress-Probe";

export interface GatewayOptions {
  /** The present routes; undefined until all are known. */
  table: () => RouteTable | undefined;
  activate: Activate;
  destination: (target: ServiceTarget) => Promise<Destination>;
  random?: () => number;
}

export function gatewayHandler(options: GatewayOptions, door: Door): Handler {
  const { activate, destination, random = Math.random } = options;

  const route = (exchange: Exchange, table: RouteTable, through: Door, hops: number): void | Promise<void> => {
    const { head } = exchange;
    const found = table.find(through, head.host, head.target, head.headers);
    if (asksForHash(head.headers)) {
      // The path that probers ask for by custom may be none of the host's; any of its routes knows the hash.
      const probed = found ?? (isProbe(head.headers) ? table.anyOf(through, head.host) : undefined);
      if (probed !== undefined) {
        head.headers.set(hashHeader, probed.hash);
        // Proves which version of the routes is served; nothing behind has to be awake for it (data-plane 3.3).
        // Asked by anybody else, the Service behind gets it, as from other gateways.
        const isProber = found === undefined || head.headers.get("user-agent") === prober;
        if (isProber && answerHashProbe(exchange, false)) return undefined;
      }
    }
    if (found === undefined) return answerOurError(exchange, "no-route");
    if (found.redirect && through === "public" && !exchange.secure) return redirect(exchange);
    const split = pickSplit(found, random());
    if (split === undefined) return answerOurError(exchange, "no-split");
    for (const [name, value] of split.headers) head.headers.set(name, value);
    if (found.rewriteHost !== undefined) head.host = found.rewriteHost;
    if (split.target.is === "service") return toService(exchange, table, found, split.target, hops);
    // A probe must not wake anybody; an activator echoes what it is asked.
    if (answerHashProbe(exchange, false)) return undefined;
    return activate(exchange, split.target, "revision");
  };

  const toService = async (
    exchange: Exchange,
    table: RouteTable,
    { rewriteHost }: Route,
    target: ServiceTarget,
    hops: number,
  ): Promise<void> => {
    let to: Destination;
    try {
      to = await destination(target);
    } catch (error) {
      return answerOurError(exchange, "no-answer", (error as Error).message);
    }
    if (exchange.ended) return undefined;
    if (to.is === "pods") return forwardToService(exchange, to.upstreams);
    // The Service of a DomainMapping may come after its route, and need not exist: the name says where it leads.
    const again = to.is === "gateway" ? to.door : rewriteHost !== undefined && table.hasHost(rewriteHost) && "internal";
    if (again === false) return answerOurError(exchange, "no-endpoint");
    if (hops >= maxHops) return answerOurError(exchange, "route-loop");
    return route(exchange, table, again, hops + 1);
  };

  return function gateway(exchange) {
    const table = options.table();
    if (table === undefined) return answerOurError(exchange, "routes-unknown");
    const { headers } = exchange.head;
    for (const name of internalFields) headers.delete(name);
    addMissing(headers, exchange.secure);
    return route(exchange, table, door, 0);
  };
}

const asksForHash = (headers: HeaderList): boolean => headers.get(hashHeader) === askForHash;

const isProbe = (headers: HeaderList): boolean => headers.get(probeHeader) === "probe";

/** What an edge adds; X-Forwarded-For is the proxy engine's. */
function addMissing(headers: HeaderList, secure: boolean): void {
  if (!headers.has("x-forwarded-proto")) headers.append("X-Forwarded-Proto", secure ? "https" : "http");
  if (!headers.has("x-request-id")) headers.append("X-Request-Id", randomUUID());
}

function redirect(exchange: Exchange): void {
  const { host, target } = exchange.head;
  // A Location that is not made of a host and a path of the request would be somebody else's words in our answer.
  const name = /^[A-Za-z0-9.-]+/.exec(host)?.[0] ?? "";
  exchange.answer(301, "", { Location: `https://${name}${target.startsWith("/") ? target : "/"}` });
}
