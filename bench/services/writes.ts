/** What was written to the API between two versions: a watch from the first one replays it. */
import { images, metrics, podAutoscalers } from "../../api/autoscaling.ts";
import { deployments, endpoints, events, pods, replicaSets, services } from "../../api/core.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { kIngresses, serverlessServices } from "../../api/networking.ts";
import { configurations, kServices, revisions, routes } from "../../api/serving.ts";
import type { KubeClient } from "../../kube/client.ts";

/** All that a Service leads to. What is written besides (leases, the node) has nothing to do with it. */
const resources: readonly Resource[] = [
  kServices,
  configurations,
  revisions,
  routes,
  kIngresses,
  serverlessServices,
  podAutoscalers,
  metrics,
  images,
  deployments,
  replicaSets,
  pods,
  services,
  endpoints,
  events,
];

export interface Writes {
  creates: number;
  /** Of everything but the status. */
  updates: number;
  statuses: number;
  deletes: number;
}

/** Kind, with its group where two share it → what was written, of the objects that `concerns` says yes to. */
export async function writesSince(
  client: KubeClient,
  version: string,
  concerns: (object: KubeObject) => boolean,
): Promise<Map<string, Writes>> {
  const found = await Promise.all(
    resources.map(async (resource) => [titleOf(resource), await replay(client, resource, version, concerns)] as const),
  );
  return new Map(found.filter(([, writes]) => totalOf(writes) > 0));
}

export const totalOf = ({ creates, updates, statuses, deletes }: Writes): number =>
  creates + updates + statuses + deletes;

const titleOf = ({ kind, group }: Resource): string =>
  kind === "Service" ? (group === "" ? "v1 Service" : "Knative Service") : kind;

async function replay(
  client: KubeClient,
  resource: Resource,
  version: string,
  concerns: (object: KubeObject) => boolean,
): Promise<Writes> {
  const writes: Writes = { creates: 0, updates: 0, statuses: 0, deletes: 0 };
  const before = new Map<string, string>();
  // What there is to replay comes at once.
  const watch = { resourceVersion: version, timeoutSeconds: 1, signal: new AbortController().signal };
  for await (const event of client.watch<KubeObject>(resource, watch)) {
    if (event.type === "BOOKMARK" || event.type === "ERROR" || !concerns(event.object)) continue;
    const key = keyOf(event.object);
    const rest = withoutStatus(event.object);
    if (event.type === "ADDED") writes.creates += 1;
    else if (event.type === "DELETED") writes.deletes += 1;
    else if (before.get(key) === rest) writes.statuses += 1;
    else writes.updates += 1;
    before.set(key, rest);
  }
  return writes;
}

function withoutStatus(object: KubeObject): string {
  const { status: _, ...rest } = object as KubeObject & { status?: unknown };
  const { resourceVersion: __, managedFields: ___, ...metadata } = rest.metadata;
  return JSON.stringify({ ...rest, metadata });
}

/** The version of the API server's last write. */
export async function versionNow(client: KubeClient): Promise<string> {
  const list = await client.list(kServices, { namespace: "kube-system" });
  return list.metadata.resourceVersion;
}
