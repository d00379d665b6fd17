/** `POST …/pods/NAME/eviction` (policy/v1): a deletion that asks the disruption budgets first. */
import type { Pod } from "../../api/core.ts";
import type { KubeObject, LabelSelector, Status } from "../../api/meta.ts";
import type { Call } from "./call.ts";
import { isObject, memberOf } from "./json-value.ts";
import type { Rest } from "./rest.ts";
import { matchesSelector } from "./selectors.ts";
import { badRequest, tooManyRequests } from "./status-error.ts";

interface DisruptionBudget extends KubeObject {
  spec?: { selector?: LabelSelector; minAvailable?: number | string; maxUnavailable?: number | string };
}

/** Throws ApiError 429 while a budget allows no disruption. */
export async function evict(rest: Rest, call: Call, body: unknown): Promise<Status> {
  const pod = rest.get(call) as Pod;
  const name = memberOf(memberOf(body, "metadata"), "name");
  if (typeof name === "string" && name !== "" && name !== call.name)
    throw badRequest(`name in URL does not match name in Eviction object`);
  if (isReady(pod)) requireBudget(rest, pod);
  const options = memberOf(body, "deleteOptions");
  const { dryRun, ...deletion } = isObject(options) ? options : {};
  const isDryRun = call.dryRun || (Array.isArray(dryRun) && dryRun.includes("All"));
  await rest.remove({ ...call, dryRun: isDryRun }, deletion);
  return { apiVersion: "v1", kind: "Status", metadata: {}, status: "Success", code: 201 };
}

function requireBudget(rest: Rest, pod: Pod): void {
  const { namespace = "" } = pod.metadata;
  for (const { object } of rest.store.list("poddisruptionbudgets.policy", namespace)) {
    const { spec = {}, metadata } = object as DisruptionBudget;
    if (spec.selector === undefined || !matchesSelector(spec.selector, pod.metadata.labels)) continue;
    const covered = rest.store
      .list("pods", namespace)
      .map((entry) => entry.object as Pod)
      .filter((one) => matchesSelector(spec.selector, one.metadata.labels));
    const healthy = covered.filter((one) => isReady(one) && one.metadata.deletionTimestamp === undefined).length;
    const wanted =
      spec.minAvailable !== undefined
        ? amount(spec.minAvailable, covered.length)
        : covered.length - amount(spec.maxUnavailable ?? 0, covered.length);
    if (healthy > wanted) continue;
    throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", [
      {
        reason: "DisruptionBudget",
        message: `The disruption budget ${metadata.name} needs ${wanted} healthy pods and has ${healthy} currently`,
        field: "",
      },
    ]);
  }
}

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") ?? false;

/** `3`, or `50%` of all, rounded up. */
function amount(value: number | string, all: number): number {
  if (typeof value === "number") return value;
  const percent = /^(\d+)%$/.exec(value);
  return percent === null ? 0 : Math.ceil((Number(percent[1]) * all) / 100);
}
