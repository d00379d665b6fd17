/** The life of CustomResourceDefinitions: they start to serve a kind, report it in their status, and take its objects along. */
import type { KubeCondition } from "../../api/core.ts";
import { customResourceDefinitions } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import type { Logger } from "../../process/logger.ts";
import { timestamp } from "./call.ts";
import { copyOf } from "./json-value.ts";
import type { FieldCause, Kind, KindRegistry } from "./kind.ts";
import { resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";

interface Definition extends KubeObject {
  spec: {
    group: string;
    names: { plural: string };
    versions: { name: string; storage: boolean }[];
  };
  status?: { conditions?: KubeCondition[]; acceptedNames?: unknown; storedVersions?: string[] };
}

export interface CustomResources {
  /** Serves the kind of a definition that is about to be stored, and writes its status. Other kinds pass. */
  beforeWrite(kind: Kind, object: KubeObject, stored: KubeObject | undefined): void;
}

const definitions = resourceName(customResourceDefinitions);
/** The name of the finalizer that keeps a definition until its objects are gone. */
export const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

/** Serves what is stored; from then on follows writes and removals. */
export function createCustomResources(
  store: Store,
  kinds: KindRegistry,
  log: Logger,
  nowMs: () => number,
): CustomResources {
  for (const { object } of store.list(definitions)) {
    const problems = kinds.putCrd(object);
    if (problems.length > 0) log.warn({ crd: object.metadata.name, problems }, "a stored CRD cannot be served");
  }
  store.onChange((change) => {
    if (change.resource === definitions && change.type === "DELETED") kinds.removeCrd(change.name);
  });
  return {
    beforeWrite(kind, object, stored) {
      if (resourceName(kind.resource) !== definitions) return;
      if (object.metadata.deletionTimestamp !== undefined) return;
      const definition = object as Definition;
      const changed = stored === undefined || stored.metadata.generation !== object.metadata.generation;
      if (!changed && definition.status?.conditions !== undefined) return;
      object.metadata.finalizers = [...new Set([...(object.metadata.finalizers ?? []), cleanupFinalizer])];
      definition.status = statusOf(definition, kinds.putCrd(copyOf(object)), timestamp(nowMs()));
    },
  };
}

/** The resource name under which the definition's objects are stored. */
export function definedResource(definition: KubeObject): string {
  const { group, names } = (definition as Definition).spec;
  return resourceName({ group, plural: names.plural });
}

function statusOf(
  definition: Definition,
  problems: readonly FieldCause[],
  now: string,
): NonNullable<Definition["status"]> {
  const before = definition.status ?? {};
  const accepted = problems.length === 0;
  const why = problems.map(({ field, message }) => `${field}: ${message}`).join("; ");
  const condition = (type: string, reason: string, message: string): KubeCondition => {
    const status = accepted ? "True" : "False";
    const old = before.conditions?.find((one) => one.type === type);
    const lastTransitionTime = old?.status === status ? (old.lastTransitionTime ?? now) : now;
    return { type, status, reason, message, lastTransitionTime };
  };
  const storage = definition.spec.versions.find((version) => version.storage)?.name;
  return {
    ...before,
    conditions: [
      condition("NamesAccepted", accepted ? "NoConflicts" : "NamesConflict", accepted ? "no conflicts found" : why),
      accepted
        ? condition("Established", "InitialNamesAccepted", "the initial names have been accepted")
        : condition("Established", "NotAccepted", "not all names are accepted"),
    ],
    acceptedNames: accepted ? copyOf(definition.spec.names) : (before.acceptedNames ?? { plural: "", kind: "" }),
    storedVersions: [...new Set([...(before.storedVersions ?? []), ...(storage === undefined ? [] : [storage])])],
  };
}
