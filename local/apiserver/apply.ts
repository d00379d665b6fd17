/** Server-side apply (`application/apply-patch+yaml`): one writer says what it wants of an object, and gets it or a conflict. */
import { apiVersionOf, type KubeObject } from "../../api/meta.ts";
import { ApiError } from "../../kube/client.ts";
import type { Call } from "./call.ts";
import { copyOf, isObject } from "./json-value.ts";
import { applied, ApplyConflict, managerText } from "./managed-fields.ts";
import { applyConflict, badRequest, conflict, failed, invalid, notFound, resourceName } from "./status-error.ts";
import type { Store } from "./store.ts";
import { ListKeyError } from "./typed-merge.ts";
import { decoded, writingOf, type Writer } from "./writing.ts";

export interface ApplyOptions {
  store: Store;
  writer: Writer;
  nowMs: () => number;
}

export interface Applied {
  object: KubeObject;
  isNew: boolean;
}

/** `force` takes fields from their managers. Throws ApiError. */
export type Apply = (call: Call, config: unknown, force: boolean) => Promise<Applied>;

export function createApply({ store, writer, nowMs }: ApplyOptions): Apply {
  return async (call, body, force) => {
    const { kind, namespace, name } = call;
    if (call.fieldManager === "")
      throw invalid({ group: "meta.k8s.io", kind: "PatchOptions" }, "", [
        { reason: "FieldValueRequired", field: "fieldManager", message: "Required value: is required for apply patch" },
      ]);
    const repeated = (call.duplicateFields ?? []).map((field) => `key ${JSON.stringify(field)} already set in map`);
    if (repeated.length > 0 && call.fieldValidation === "Strict")
      throw badRequest(`error strict decoding YAML: ${repeated.join(", ")}`);
    if (call.fieldValidation === "Warn") for (const problem of repeated) call.warn(problem);
    const config = configOf(call, body);
    const result = (stored: KubeObject | undefined): KubeObject => {
      try {
        return applied(writingOf(call, nowMs()), stored, copyOf(config), force);
      } catch (error) {
        if (error instanceof ApplyConflict) throw conflictAnswer(error);
        if (error instanceof ListKeyError) throw untyped(call, error.message);
        throw error;
      }
    };
    const exists = (): boolean => store.get(resourceName(kind.resource), namespace, name) !== undefined;
    if (!exists()) {
      if (call.subresource !== "") throw notFound(kind.resource, name);
      const { uid } = config.metadata;
      if (uid !== undefined && uid !== "")
        throw conflict(
          kind.resource,
          name,
          `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
        );
      try {
        return { object: await writer.createRecorded(call, result(undefined)), isNew: true };
      } catch (error) {
        // Somebody else was first: then it is there to be changed.
        if (!(error instanceof ApiError) || error.status.reason !== "AlreadyExists" || !exists()) throw error;
      }
    }
    return { object: await writer.changeRecorded(call, result), isNew: false };
  };
}

/** What the client wants, as an object of the call's kind. */
function configOf(call: Call, body: unknown): KubeObject {
  const { resource } = call.kind;
  if (!isObject(body)) throw badRequest("error decoding YAML: the body is not an object");
  const config = copyOf(body) as unknown as KubeObject;
  const version = apiVersionOf(resource);
  if (config.apiVersion !== version)
    throw badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${config.apiVersion ?? ""}, expected: ${version}`,
    );
  if (config.kind !== resource.kind)
    throw badRequest(
      `${resource.kind} in version ${JSON.stringify(resource.version)} cannot be applied as a ${config.kind}`,
    );
  if (!isObject(config.metadata)) config.metadata = {};
  const { metadata } = config;
  if ((metadata.managedFields ?? []).length > 0) throw badRequest("metadata.managedFields must be nil");
  delete metadata.managedFields;
  const unknown = decoded(call.kind, config);
  metadata.name ??= call.name;
  if (metadata.name !== call.name)
    throw badRequest(`the name of the object (${metadata.name}) does not match the name on the URL (${call.name})`);
  const given = metadata.namespace ?? "";
  if (resource.namespaced && given !== "" && given !== call.namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  if (resource.namespaced) metadata.namespace = call.namespace;
  else delete metadata.namespace;
  const problems = unknown.map((field) => `.${field}: field not declared in schema`);
  if (problems.length === 1) throw untyped(call, problems[0]!);
  if (problems.length > 1) throw untyped(call, `errors:\n${problems.map((one) => `  ${one}`).join("\n")}`);
  return config;
}

const untyped = ({ kind, namespace, name }: Call, why: string): ApiError =>
  failed(
    `failed to create typed patch object (${namespace}/${name}; ${apiVersionOf(kind.resource)}, Kind=${kind.resource.kind}): ${why}`,
  );

function conflictAnswer({ conflicts }: ApplyConflict): ApiError {
  const all = conflicts.flatMap(({ entry, paths }) => paths.map((path) => ({ manager: managerText(entry), path })));
  const causes = all.map(({ manager, path }) => ({
    reason: "FieldManagerConflict",
    message: `conflict with ${manager}`,
    field: path,
  }));
  const [only] = all;
  if (all.length === 1 && only !== undefined)
    return applyConflict(`Apply failed with 1 conflict: conflict with ${only.manager}: ${only.path}`, causes);
  const lines = [...new Set(all.map(({ manager }) => manager))]
    .sort()
    .flatMap((manager) => [
      `conflicts with ${manager}:`,
      ...all.filter((one) => one.manager === manager).map(({ path }) => `- ${path}`),
    ]);
  return applyConflict(`Apply failed with ${all.length} conflicts: ${lines.join("\n")}`, causes);
}
