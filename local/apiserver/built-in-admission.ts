/** What Kubernetes' own admission plugins require of the surroundings of a new object. */
import type { KubeObject } from "../../api/meta.ts";
import type { Pod } from "../../api/core.ts";
import type { Call } from "./call.ts";
import { forbidden, notFound } from "./status-error.ts";
import type { Store } from "./store.ts";

/** Throws ApiError where the object's namespace is missing or ending, or its pod's service account is missing. */
export function requireSurroundings(store: Store, call: Call, object: KubeObject): void {
  const { kind, namespace } = call;
  if (!kind.resource.namespaced) return;
  const name = object.metadata.name ?? "";
  const found = store.get("namespaces", "", namespace);
  if (found === undefined) throw notFound({ group: "", plural: "namespaces" }, namespace);
  if (found.metadata.deletionTimestamp !== undefined) {
    const message = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw forbidden(kind.resource, name, message, [
      {
        reason: "NamespaceTerminating",
        message: `namespace ${namespace} is being terminated`,
        field: "metadata.namespace",
      },
    ]);
  }
  if (kind.resource.group === "" && kind.resource.plural === "pods") requireServiceAccount(store, call, object as Pod);
}

/** `default` may come a moment after its namespace, and a pod needs nothing of it at once. */
function requireServiceAccount(store: Store, { kind, namespace }: Call, pod: Pod): void {
  const name = pod.spec?.serviceAccountName ?? "";
  if (name === "" || name === "default" || store.get("serviceaccounts", namespace, name) !== undefined) return;
  throw forbidden(
    kind.resource,
    pod.metadata.name ?? "",
    `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
  );
}
