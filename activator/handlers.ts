/** The layers of the two doors, outermost first (data-plane 2.2). */
import type { Drainer } from "../proxy/drain.ts";
import type { Exchange, Handler } from "../proxy/exchange.ts";
import { answerHashProbe, isKubeletProbe, probeHeader } from "../proxy/network-probe.ts";
import { plainText } from "../proxy/plain-text.ts";
import type { Activate } from "./activation-handler.ts";
import { gatewayHandler, type GatewayOptions } from "./gateway/gateway-handler.ts";
import type { Door } from "./gateway/route-table.ts";
import { hostName } from "../api/ingress-claims.ts";
import { answerOurError } from "./our-error.ts";

type Layer = (next: Handler) => Handler;

/** What the kubelet hears: 200, or a status with the reason. */
export type Readiness = () => { status: 200 } | { status: 500 | 503; reason: string };

export interface DoorOptions {
  drainer: Drainer;
  /** Upgraded connections, which are asked to finish at the end. */
  upgrades: Set<Exchange>;
}

export interface ActivatorDoorOptions extends DoorOptions {
  readiness: Readiness;
  /** Revisions are known: what is not found does not exist. */
  isSynced: () => boolean;
  activate: Activate;
  /** For example `cluster.local`. */
  clusterDomain: string;
}

/** By revision header, for other ingresses. */
export function activatorDoor(options: ActivatorDoorOptions): Handler {
  const { drainer, upgrades, readiness, isSynced, activate, clusterDomain } = options;
  const layers: Layer[] = [
    // The kubelet probes this port, at any path.
    kubeletProbes(readiness),
    // Other ingresses prove their configuration through us; a draining activator must not be proven.
    hashProbes(drainer),
    // The autoscaler asks whether we are in a revision's path.
    componentProbes,
    // What is left is a request: drain waits for its end.
    drained(drainer, upgrades),
    // A revision that is not known yet must not be called missing.
    whenSynced(isSynced),
  ];
  return layers.reduceRight<Handler>((next, layer) => layer(next), byRevision(activate, clusterDomain));
}

/** By host name. */
export function gatewayDoor({ drainer, upgrades, ...gateway }: GatewayOptions & DoorOptions, door: Door): Handler {
  // Probes by hash are answered behind the route: only the route knows its hash.
  return drained(drainer, upgrades)(gatewayHandler(gateway, door));
}

function kubeletProbes(readiness: Readiness): Layer {
  return (next) => (exchange) => {
    if (!isKubeletProbe(exchange.head.headers)) return next(exchange);
    const state = readiness();
    return state.status === 200
      ? exchange.answer(200, "")
      : exchange.answer(state.status, `${state.reason}\n`, plainText);
  };
}

function hashProbes(drainer: Drainer): Layer {
  return (next) => (exchange) => {
    if (answerHashProbe(exchange, drainer.draining)) return undefined;
    exchange.head.headers.delete("K-Network-Hash");
    return next(exchange);
  };
}

const componentProbes: Layer = (next) => (exchange) => {
  const probe = exchange.head.headers.get(probeHeader);
  if (probe === undefined) return next(exchange);
  return probe === "activator"
    ? exchange.answer(200, "activator", { "Content-Type": plainText["Content-Type"] })
    : exchange.answer(400, `unexpected probe header value: "${probe}"\n`, plainText);
};

function drained(drainer: Drainer, upgrades: Set<Exchange>): Layer {
  return (next) => (exchange) => {
    drainer.arrived();
    exchange.onEnd(() => drainer.left());
    if (exchange.head.headers.has("upgrade")) {
      exchange.onResponseStart(() => {
        if (exchange.upgraded) upgrades.add(exchange);
      });
      exchange.onEnd(() => upgrades.delete(exchange));
    }
    return next(exchange);
  };
}

function whenSynced(isSynced: () => boolean): Layer {
  return (next) => (exchange) => (isSynced() ? next(exchange) : answerOurError(exchange, "revisions-unknown"));
}

/** The revision from the two headers, else from a host of exactly the shape `<name>.<namespace>.svc.<cluster domain>`. */
function byRevision(activate: Activate, clusterDomain: string): Handler {
  const suffix = `.svc.${clusterDomain}`;
  return (exchange) => {
    const { headers, host } = exchange.head;
    let name = headers.get("Knative-Serving-Revision") ?? "";
    let namespace = headers.get("Knative-Serving-Namespace") ?? "";
    if (name === "" || namespace === "") {
      const service = hostName(host);
      const labels = service.endsWith(suffix) ? service.slice(0, -suffix.length).split(".") : [];
      if (labels.length !== 2) return answerOurError(exchange, "no-revision");
      [name = "", namespace = ""] = labels;
    }
    return activate(exchange, { namespace, name }, "client");
  };
}
