/** Every failure the server answers with, in Kubernetes' words: clients compare reasons and users read the messages. */
import type { KubeObject, Resource, Status } from "../../api/meta.ts";
import { ApiError } from "../../kube/client.ts";
import type { FieldCause } from "./kind.ts";

type Named = Pick<Resource, "group" | "plural">;

/** `pods`, `services.serving.knative.dev`: how messages and the store call a resource. */
export function resourceName({ group, plural }: Named): string {
  return group === "" ? plural : `${plural}.${group}`;
}

function failure(code: number, reason: string, message: string, details?: Status["details"]): ApiError {
  return new ApiError({
    apiVersion: "v1",
    kind: "Status",
    metadata: {},
    status: "Failure",
    message,
    ...(reason === "" ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  });
}

const detailsOf = (resource: Named, name: string): NonNullable<Status["details"]> => ({
  ...(name === "" ? {} : { name }),
  ...(resource.group === "" ? {} : { group: resource.group }),
  kind: resource.plural,
});
const quoted = (resource: Named, name: string): string => `${resourceName(resource)} ${JSON.stringify(name)}`;

export const notFound = (resource: Named, name: string): ApiError =>
  failure(404, "NotFound", `${quoted(resource, name)} not found`, detailsOf(resource, name));

export const alreadyExists = (resource: Named, name: string): ApiError =>
  failure(409, "AlreadyExists", `${quoted(resource, name)} already exists`, detailsOf(resource, name));

export const conflict = (resource: Named, name: string, why?: string): ApiError =>
  failure(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${quoted(resource, name)}: ${
      why ?? "the object has been modified; please apply your changes to the latest version and try again"
    }`,
    detailsOf(resource, name),
  );

/** Fields that others own: each cause names one. */
export const applyConflict = (message: string, causes: readonly FieldCause[]): ApiError =>
  failure(409, "Conflict", message, {
    causes: causes.map(({ reason, message: why, field }) => ({ reason, message: why, field })),
  });

/** What Kubernetes has no reason for. */
export const failed = (message: string): ApiError => failure(500, "", message);

export function invalid(
  resource: Pick<Resource, "group" | "kind">,
  name: string,
  causes: readonly FieldCause[],
): ApiError {
  const kind = resource.group === "" ? resource.kind : `${resource.kind}.${resource.group}`;
  const texts = causes.map((cause) => (cause.field === "" ? cause.message : `${cause.field}: ${cause.message}`));
  const unique = [...new Set(texts)];
  const all = unique.length === 1 ? unique[0] : `[${unique.join(", ")}]`;
  return failure(422, "Invalid", `${kind} ${JSON.stringify(name)} is invalid: ${all}`, {
    ...(name === "" ? {} : { name }),
    ...(resource.group === "" ? {} : { group: resource.group }),
    ...(resource.kind === "" ? {} : { kind: resource.kind }),
    causes: causes.map(({ reason, message, field }) => ({ reason, message, field })),
  });
}

/** Without a resource: of a path. */
export function forbidden(resource: Named | undefined, name: string, why: string, causes?: FieldCause[]): ApiError {
  const more = causes === undefined ? {} : { causes };
  if (resource === undefined) return failure(403, "Forbidden", `forbidden: ${why}`, more);
  const what = name === "" ? resourceName(resource) : quoted(resource, name);
  return failure(403, "Forbidden", `${what} is forbidden: ${why}`, { ...detailsOf(resource, name), ...more });
}

export const badRequest = (message: string): ApiError => failure(400, "BadRequest", message);
export const unauthorized = (): ApiError => failure(401, "Unauthorized", "Unauthorized");
export const unknownPath = (): ApiError =>
  failure(404, "NotFound", "the server could not find the requested resource", {});
export const methodNotAllowed = (): ApiError =>
  failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});
export const expired = (message: string): ApiError => failure(410, "Expired", message);
export const tooOld = (version: number, oldest: number): ApiError =>
  expired(`too old resource version: ${version} (${oldest})`);
/** To be asked again, but not before something changes. */
export const tooManyRequests = (message: string, causes: readonly FieldCause[]): ApiError =>
  failure(429, "TooManyRequests", message, {
    causes: causes.map(({ reason, message: why }) => ({ reason, message: why })),
  });
export const tooLarge = (limitBytes: number): ApiError =>
  failure(413, "RequestEntityTooLarge", `Request entity too large: limit is ${limitBytes}`);
export const notAcceptable = (accepted: readonly string[]): ApiError =>
  failure(406, "NotAcceptable", `only the following media types are accepted: ${accepted.join(", ")}`);
export const unsupportedMediaType = (accepted: readonly string[]): ApiError =>
  failure(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  );
/** A patch that does not fit the object. */
export const unprocessable = (message: string): ApiError => failure(422, "Invalid", message, {});
export const unavailable = (message: string): ApiError => failure(503, "ServiceUnavailable", message);
export const internal = (message: string): ApiError =>
  failure(500, "InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] });
export const versionTooLarge = (version: number, current: number): ApiError =>
  failure(504, "Timeout", `Timeout: Too large resource version: ${version}, current: ${current}`, {
    causes: [{ reason: "ResourceVersionTooLarge", message: "Too large resource version" }],
    retryAfterSeconds: 1,
  });

/** A webhook's refusal. Its own status stands; what it left out is filled in. */
export function denied(webhook: string, result: Partial<Status> | undefined): ApiError {
  const by = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const why = result?.message ?? "";
  const reason = result?.reason ?? "";
  const message = why !== "" ? `${by}: ${why}` : reason !== "" ? `${by}: ${reason}` : `${by} without explanation`;
  return failure(Math.max(400, result?.code ?? 0), reason, message, result?.details);
}

/** The answer to a deletion that is done. */
export const deleted = (resource: Named, object: KubeObject): Status => ({
  apiVersion: "v1",
  kind: "Status",
  metadata: {},
  status: "Success",
  details: {
    ...detailsOf(resource, object.metadata.name ?? ""),
    ...(object.metadata.uid === undefined ? {} : { uid: object.metadata.uid }),
  },
  code: 200,
});
