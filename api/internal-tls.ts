/** Whether gateway, activator and sidecars speak TLS with each other (spec: serving-api 4.9). */
import type { ConfigMap } from "./core.ts";

/** Of ConfigMap `config-network`. The older key is read where the newer one is absent. */
export function isInternalTls(data: ConfigMap["data"]): boolean {
  const enabled = data?.["system-internal-tls"];
  if (enabled !== undefined) return enabled.trim().toLowerCase() === "enabled";
  return ["1", "t", "true"].includes(data?.["internal-encryption"]?.trim().toLowerCase() ?? "");
}
