/** The `scale` subresource: autoscaling/v1 Scale in front of an object's own replica fields. */
import type { Scale } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import type { Patch } from "../../kube/client.ts";
import type { Call } from "./call.ts";
import { copyOf, isObject, memberOf } from "./json-value.ts";
import { selectorText } from "./kinds/selector-text.ts";
import { applyJsonPatch, mergePatched } from "./patch.ts";
import { badRequest, conflict, invalid, unsupportedMediaType, unknownPath } from "./status-error.ts";
import type { Writer } from "./writing.ts";

type Paths = NonNullable<Call["kind"]["scale"]>;

const stepsOf = (path: string): string[] => path.split(".").filter((step) => step !== "");
const valueAt = (object: unknown, path: string): unknown => stepsOf(path).reduce(memberOf, object);

function pathsOf(call: Call): Paths {
  if (call.kind.scale === undefined) throw unknownPath();
  return call.kind.scale;
}

export function scaleOf(call: Call, object: KubeObject): Scale {
  const paths = pathsOf(call);
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = paths.labelSelectorPath === undefined ? undefined : valueAt(object, paths.labelSelectorPath);
  const metadata: Record<string, unknown> = { name, namespace, uid, resourceVersion, creationTimestamp };
  return copyOf({
    apiVersion: "autoscaling/v1",
    kind: "Scale",
    metadata,
    spec: { replicas: Number(valueAt(object, paths.specReplicasPath) ?? 0) },
    status: {
      replicas: Number(valueAt(object, paths.statusReplicasPath) ?? 0),
      ...(selector === undefined ? {} : { selector: typeof selector === "string" ? selector : selectorText(selector) }),
    },
  }) as Scale;
}

export async function updateScale(writer: Writer, call: Call, scale: unknown): Promise<Scale> {
  return changeScale(writer, call, () => scale);
}

export async function patchScale(writer: Writer, call: Call, patch: Patch): Promise<Scale> {
  return changeScale(writer, call, (current) => {
    if (patch.is === "json") return applyJsonPatch(current, patch.operations);
    // Scale has no lists: a strategic merge is a merge.
    if (patch.is === "merge" || !call.kind.isCustom) return mergePatched(current, patch.body);
    throw unsupportedMediaType(["application/json-patch+json", "application/merge-patch+json"]);
  });
}

async function changeScale(writer: Writer, call: Call, makeScale: (current: Scale) => unknown): Promise<Scale> {
  const paths = pathsOf(call);
  const changed = await writer.change({ ...call, subresource: "", through: "scale" }, (stored) => {
    const scale = makeScale(scaleOf(call, stored));
    if (!isObject(scale)) throw badRequest("the body is not a Scale");
    const version = memberOf(scale["metadata"], "resourceVersion");
    if (typeof version === "string" && version !== "" && version !== stored.metadata.resourceVersion)
      throw conflict(call.kind.resource, call.name);
    const replicas = memberOf(scale["spec"], "replicas") ?? 0;
    if (typeof replicas !== "number" || !Number.isInteger(replicas) || replicas < 0)
      throw invalid({ group: "autoscaling", kind: "Scale" }, call.name, [
        {
          reason: "FieldValueInvalid",
          field: "spec.replicas",
          message: `Invalid value: ${JSON.stringify(replicas)}: must be greater than or equal to 0`,
        },
      ]);
    const next = copyOf(stored);
    const steps = stepsOf(paths.specReplicasPath);
    let parent = next as unknown as Record<string, unknown>;
    for (const step of steps.slice(0, -1)) {
      if (!isObject(parent[step])) parent[step] = {};
      parent = parent[step] as Record<string, unknown>;
    }
    parent[steps.at(-1)!] = replicas;
    return next;
  });
  return scaleOf(call, changed);
}
