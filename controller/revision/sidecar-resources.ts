/** The sidecar's resource requests and limits (spec: serving-api 4.12). */
import type { Container, ResourceRequirements } from "../../api/core.ts";
import type { Revision } from "../../api/serving.ts";
import type { PlatformConfig } from "../config/store.ts";

const prefix = "queue.sidecar.serving.knative.dev/";

/** Later ones win: configuration, a share of the serving container's within bounds, the Revision's own annotations. */
export function sidecarResources(
  revision: Revision,
  serving: Container | undefined,
  config: Readonly<PlatformConfig>,
): ResourceRequirements {
  const annotations = revision.metadata.annotations ?? {};
  const stock = config.features.queueProxyResourceDefaults === "Enabled";
  const requests: Record<string, string> = {
    ...(stock ? { memory: "400Mi" } : {}),
    ...config.deployment.queueSidecarRequests,
  };
  const limits: Record<string, string> = {
    ...(stock ? { cpu: "1000m", memory: "800Mi" } : {}),
    ...config.deployment.queueSidecarLimits,
  };
  const percentage = Number(
    annotations[`${prefix}resource-percentage`] ?? annotations[`${prefix}resourcePercentage`] ?? Number.NaN,
  );
  if (!Number.isNaN(percentage))
    for (const [target, of, resource, low, high] of [
      [requests, "requests", "cpu", 0.025, 0.1],
      [limits, "limits", "cpu", 0.04, 0.5],
      [requests, "requests", "memory", 50 * mebi, 200 * mebi],
      [limits, "limits", "memory", 200 * mebi, 500 * mebi],
    ] as const) {
      const value = parseQuantity(serving?.resources?.[of]?.[resource]);
      if (value === undefined) continue;
      const share = Math.min(Math.max((value * percentage) / 100, low), high);
      target[resource] = resource === "cpu" ? `${Math.round(share * 1000)}m` : String(Math.round(share));
    }
  for (const resource of ["cpu", "memory", "ephemeral-storage"]) {
    const request = annotations[`${prefix}${resource}-resource-request`];
    const limit = annotations[`${prefix}${resource}-resource-limit`];
    if (request !== undefined) requests[resource] = request;
    if (limit !== undefined) limits[resource] = limit;
  }
  return {
    ...(Object.keys(requests).length > 0 ? { requests } : {}),
    ...(Object.keys(limits).length > 0 ? { limits } : {}),
  };
}

const mebi = 1024 ** 2;
const units: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 1024,
  Mi: mebi,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
  Pi: 1024 ** 5,
  Ei: 1024 ** 6,
};

/** Cores or bytes, undefined for what is no Kubernetes quantity. */
function parseQuantity(text: string | undefined): number | undefined {
  const match = /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$/u.exec(text ?? "");
  if (match === null) return undefined;
  const value = Number(match[1]) * (units[match[2] ?? ""] ?? Number.NaN);
  return Number.isNaN(value) ? undefined : value;
}
