/** What a Revision's spec says about how it is served. */
import type { Container, Probe } from "./core.ts";
import type { RevisionSpec } from "./serving.ts";

/** When the serving container declares none. */
export const defaultUserPort = 8080;

/** The container that gets the requests: the only one, or the one that declares a port. */
export function servingContainer(spec: Pick<RevisionSpec, "containers">): Container | undefined {
  if (spec.containers.length === 1) return spec.containers[0];
  return spec.containers.find(({ ports }) => (ports?.length ?? 0) > 0) ?? spec.containers[0];
}

export function userPort(spec: Pick<RevisionSpec, "containers">): number {
  const declared = servingContainer(spec)?.ports?.[0]?.containerPort ?? 0;
  return declared === 0 ? defaultUserPort : declared;
}

export function protocolOf(spec: Pick<RevisionSpec, "containers">): "http1" | "h2c" {
  return servingContainer(spec)?.ports?.[0]?.name === "h2c" ? "h2c" : "http1";
}

/** The probe that Knative gives a serving container without one; port 0 stands for the user port. */
export const defaultReadinessProbe: Probe = Object.freeze({ tcpSocket: { port: 0 }, successThreshold: 1 });

export function hasHandler(probe: Probe): boolean {
  return (
    probe.httpGet !== undefined || probe.tcpSocket !== undefined || probe.exec !== undefined || probe.grpc !== undefined
  );
}
