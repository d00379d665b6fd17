/** The name under which a cluster's Services are found, of which DNS is the only one to know. */
import { readFileSync } from "node:fs";
import type { Env } from "./env.ts";

/** `<cluster domain>` of a pod: CLUSTER_DOMAIN, else from the search list of resolv.conf, else `cluster.local`. */
export function clusterDomain(env: Env, resolvConf = "/etc/resolv.conf"): string {
  const given = env["CLUSTER_DOMAIN"];
  if (given !== undefined && given !== "") return given;
  // A pod of a local cluster has a hosts file of its own instead: what the machine's resolver says is not its cluster.
  if ((env["SWELL_HOSTS_FILE"] ?? "") !== "") return "cluster.local";
  let text = "";
  try {
    text = readFileSync(resolvConf, "utf8");
  } catch {
    return "cluster.local";
  }
  for (const line of text.split("\n")) {
    const [keyword, ...entries] = line.trim().split(/\s+/u);
    if (keyword !== "search") continue;
    const found = entries.find((entry) => entry.startsWith("svc."));
    if (found !== undefined) return found.slice("svc.".length).replace(/\.$/u, "");
  }
  return "cluster.local";
}
