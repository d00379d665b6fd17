/** Probes of Knative's own components and of the kubelet, which a proxy answers itself (data-plane 1.9). */
import type { Exchange } from "./exchange.ts";
import type { HeaderList } from "./headers.ts";
import { errorHeader, plainText } from "./plain-text.ts";

export const probeHeader = "K-Network-Probe";
export const hashHeader = "K-Network-Hash";
export const kubeletProbeHeader = "K-Kubelet-Probe";

export const userAgent = {
  kubelet: "kube-probe/",
  activator: "Knative-Activator-Probe",
  autoscaler: "Knative-Autoscaling-Probe",
} as const;

/** A kubelet's probe, by its agent or by the header a mesh passes it on with. Anyone can send either. */
export function isKubeletProbe(headers: HeaderList): boolean {
  return (headers.get("user-agent")?.startsWith(userAgent.kubelet) ?? false) || headers.has(kubeletProbeHeader);
}

/** A health check of the kubelet, an activator or an autoscaler. */
export function isHealthProbe(headers: HeaderList): boolean {
  const agent = headers.get("user-agent");
  // Most agents differ in the first letter.
  if (agent === undefined || (agent[0] !== "k" && agent[0] !== "K")) return false;
  return Object.values(userAgent).some((prefix) => agent.startsWith(prefix));
}

/** Any of the above, or a `K-Network-Probe` of any value: kept out of metrics and logs. */
export function isProbe(headers: HeaderList): boolean {
  return isKubeletProbe(headers) || headers.has(probeHeader);
}

/** The ingress asks whether this proxy is reachable; the hash is echoed. True when it was answered. */
export function answerHashProbe(exchange: Exchange, draining: boolean): boolean {
  const { headers } = exchange.head;
  if (headers.get(probeHeader) !== "probe") return false;
  const hash = headers.get(hashHeader) ?? "";
  if (draining) answerDraining(exchange);
  else if (hash === "")
    exchange.answer(400, `a probe request must contain a non-empty "${hashHeader}" header\n`, {
      ...plainText,
      [errorHeader]: "probe-without-hash",
    });
  else exchange.answer(200, "", { [hashHeader]: hash });
  return true;
}

/**
 * A component asks for `name` (`queue`, `activator`). True when it is answered or will be as soon as `ready` says;
 * a component that hears 400 learns that somebody else is in the path.
 */
export function answerHealthProbe(
  exchange: Exchange,
  options: { name: string; draining: boolean; ready: () => boolean | Promise<boolean> },
): boolean {
  const { headers } = exchange.head;
  if (!isHealthProbe(headers)) return false;
  const asked = headers.get(probeHeader) ?? "";
  if (options.draining) answerDraining(exchange);
  else if (asked === options.name) {
    const ready = options.ready();
    if (typeof ready === "boolean") answerReady(exchange, ready, options.name);
    else
      void ready.then(
        (ready) => answerReady(exchange, ready, options.name),
        () => answerReady(exchange, false, options.name),
      );
  } else
    exchange.answer(400, `unexpected probe header value: ${asked}\n`, {
      ...plainText,
      [errorHeader]: "unexpected-probe",
    });
  return true;
}

function answerReady(exchange: Exchange, ready: boolean, name: string): void {
  if (ready) exchange.answer(200, name, { "Content-Type": plainText["Content-Type"] });
  else exchange.answer(503, "", { [errorHeader]: "not-ready" });
}

function answerDraining(exchange: Exchange): void {
  exchange.answer(503, "shutting down\n", { ...plainText, [errorHeader]: "draining" });
}
