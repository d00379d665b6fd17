/** The door by host name: finds the route of a request and hands it to the revision's activation or to a Service. */
import { randomUUID } from "node:crypto";
import type { Exchange, Handler } from "../../proxy/exchange.ts";
import type { HeaderList } from "../../proxy/headers.ts";
import { answerHashProbe, hashHeader, probeHeader } from "../../proxy/network-probe.ts";
import { plainText } from "../../proxy/plain-text.ts";
import type { Activate } from "../activation-handler.ts";
import { pickSplit, type Door, type Route, type RouteTable, type Target } from "./route-table.ts";

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
const maxRewrites = 3;

export interface GatewayOptions {
  /** The present routes; undefined until all are known. */
  table: () => RouteTable | undefined;
  activate: Activate;
  forwardToService: (exchange: Exchange, target: Extract<Target, { is: "service" }>) => Promise<void>;
  random?: () => number;
}

export function gatewayHandler(options: GatewayOptions, door: Door): Handler {
  const { activate, forwardToService, random = Math.random } = options;

  const route = (exchange: Exchange, table: RouteTable, through: Door, rewrites: number): void | Promise<void> => {
    const { head } = exchange;
    // A probe's path is its own and says nothing about the routes.
    const probed = head.headers.get(probeHeader) === "probe" ? table.anyOf(through, head.host) : undefined;
    if (probed !== undefined && answerProbe(exchange, probed)) return undefined;
    const found = table.find(through, head.host, head.target, head.headers);
    if (found === undefined) return exchange.answer(404, "no route for this host and path\n", plainText);
    if (found.redirect && through === "public" && !exchange.secure) return redirect(exchange);
    const split = pickSplit(found, random());
    if (split === undefined) return exchange.answer(503, "the route has no backend\n", plainText);
    for (const [name, value] of split.headers) head.headers.set(name, value);
    if (found.rewriteHost !== undefined) {
      head.host = found.rewriteHost;
      // The backend is a name of this gateway: the way over the network would lead back here.
      if (split.target.is === "service" && table.hasHost(found.rewriteHost) && rewrites < maxRewrites)
        return route(exchange, table, "internal", rewrites + 1);
    }
    return split.target.is === "revision"
      ? activate(exchange, split.target, "revision")
      : forwardToService(exchange, split.target);
  };

  return function gateway(exchange) {
    const table = options.table();
    if (table === undefined) return exchange.answer(503, "the gateway does not know its routes yet\n", plainText);
    const { headers } = exchange.head;
    for (const name of internalFields) headers.delete(name);
    addMissing(headers, exchange.secure);
    return route(exchange, table, door, 0);
  };
}

/** What an edge adds; X-Forwarded-For is the proxy engine's. */
function addMissing(headers: HeaderList, secure: boolean): void {
  if (!headers.has("x-forwarded-proto")) headers.append("X-Forwarded-Proto", secure ? "https" : "http");
  if (!headers.has("x-request-id")) headers.append("X-Request-Id", randomUUID());
}

/** Proves which version of the routes is served; nothing behind has to be awake for it (data-plane 3.3). */
function answerProbe(exchange: Exchange, { hash }: Route): boolean {
  const { headers } = exchange.head;
  if (headers.get(hashHeader) === "override") headers.set(hashHeader, hash);
  return answerHashProbe(exchange, false);
}

function redirect(exchange: Exchange): void {
  const { host, target } = exchange.head;
  // A Location that is not made of a host and a path of the request would be somebody else's words in our answer.
  const name = /^[A-Za-z0-9.-]+/.exec(host)?.[0] ?? "";
  exchange.answer(301, "", { Location: `https://${name}${target.startsWith("/") ? target : "/"}` });
}
