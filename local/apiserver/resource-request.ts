/** One HTTP request for a resource: query and body in, a verb called, its answer shaped. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setImmediate } from "node:timers/promises";
import type { Pod } from "../../api/core.ts";
import type { KubeList, KubeObject } from "../../api/meta.ts";
import type { DeleteOptions } from "../../kube/client.ts";
import { requirePermission, type Authorizer } from "./authorization.ts";
import type { Call, FieldValidation, User } from "./call.ts";
import { duplicateFields } from "./duplicate-fields.ts";
import { evict } from "./eviction.ts";
import { isObject } from "./json-value.ts";
import type { Kind } from "./kind.ts";
import { acceptedShape, decodeApply, decodeBody, mediaTypeOf } from "./negotiation.ts";
import { applyType, parsePatch } from "./patch.ts";
import { podLogs, type PodBackend } from "./pod-logs.ts";
import { streamedSubresources } from "./pod-upgrade.ts";
import type { ListQuery } from "./reading.ts";
import type { Rest } from "./rest.ts";
import type { Route } from "./routes.ts";
import { badRequest, invalid, methodNotAllowed, resourceName, unknownPath } from "./status-error.ts";
import { partialListOf, partialOf, tableOf, type IncludeObject } from "./table.ts";
import { requestToken, type IssueToken } from "./token-request.ts";
import { answerWatch } from "./watch-response.ts";

export interface ResourceRequest {
  request: IncomingMessage;
  response: ServerResponse;
  route: Extract<Route, { is: "resource" }>;
  kind: Kind;
  query: URLSearchParams;
  user: User;
  readBody: () => Promise<Buffer>;
  /** Sends JSON. */
  answer: (code: number, body: object) => void;
  warn: (text: string) => void;
}

export interface ResourceDeps {
  rest: Rest;
  authorize: Authorizer;
  pods: () => PodBackend | undefined;
  issueToken: IssueToken | undefined;
}

export async function answerResource(deps: ResourceDeps, asked: ResourceRequest): Promise<void> {
  const { request, response, route, kind, query } = asked;
  const { rest } = deps;
  if (route.group === "" && route.plural === "pods" && streamedSubresources.has(route.subresource))
    throw badRequest("Upgrade request required");
  const action = actionOf(route);
  const { subresource: named } = route;
  if (named !== "" && named !== "status" && named !== "scale" && !isLog(route) && action === undefined)
    throw unknownPath();
  if (kind.resource.namespaced ? route.namespace === "" && route.name !== "" : route.namespace !== "")
    throw unknownPath();
  const verb = verbOf(request.method ?? "", route, query);
  const { group, plural } = kind.resource;
  const { subresource } = route;
  // A namespace is in itself: a Role there may allow its reading.
  const namespace = group === "" && plural === "namespaces" ? route.name : route.namespace;
  const name = route.name === "" && verb !== "create" ? selectedName(query) : route.name;
  requirePermission(deps.authorize, asked.user, { verb, group, resource: plural, subresource, namespace, name });
  const call = await callOf(asked);
  const shaped = (object: object): object => shapedAnswer(asked, object);

  switch (verb) {
    case "get":
      if (isLog(route)) return answerLogs(deps, asked, rest.get({ ...call, subresource: "" }) as Pod);
      return asked.answer(200, shaped(rest.get(call)));
    case "list":
      return asked.answer(200, shapedList(asked, rest.list(call, listQuery(query))));
    case "watch":
      return answerWatch(response, {
        rest,
        call,
        query: {
          labelSelector: query.get("labelSelector") ?? "",
          fieldSelector: query.get("fieldSelector") ?? "",
          resourceVersion: query.get("resourceVersion") ?? "",
          resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
          allowBookmarks: isTrue(query, "allowWatchBookmarks"),
          sendInitialEvents: query.has("sendInitialEvents") ? isTrue(query, "sendInitialEvents") : undefined,
        },
        shape: acceptedShape(request.headers.accept),
        includeObject: includeObject(query),
        timeoutMs: timeoutMs(query),
      });
    case "create":
      if (action === "eviction") return asked.answer(201, await evict(rest, call, await body(asked)));
      if (action === "token")
        return asked.answer(201, requestToken(rest, call, await body(asked), deps.issueToken, Date.now()));
      return asked.answer(201, shaped(await rest.create(call, (await body(asked)) as KubeObject)));
    case "update":
      return asked.answer(200, shaped(await rest.update(call, (await body(asked)) as KubeObject)));
    case "patch": {
      const type = mediaTypeOf(request.headers["content-type"]);
      const bytes = await asked.readBody();
      if (type === applyType) {
        const exists = rest.store.get(resourceName(kind.resource), call.namespace, call.name) !== undefined;
        if (!exists)
          requirePermission(deps.authorize, asked.user, {
            verb: "create",
            group,
            resource: plural,
            subresource,
            namespace,
            name,
          });
        const { object, isNew } = await rest.apply(call, decodeApply(bytes), isTrue(query, "force"));
        return asked.answer(isNew ? 201 : 200, shaped(object));
      }
      if (query.has("force"))
        throw invalid({ group: "meta.k8s.io", kind: "PatchOptions" }, "", [
          {
            reason: "FieldValueForbidden",
            field: "force",
            message: "Forbidden: may not be specified for non-apply patch",
          },
        ]);
      return asked.answer(
        200,
        shaped(
          await rest.patch(
            call,
            parsePatch(type, () => decodeBody(bytes, type)),
          ),
        ),
      );
    }
    case "delete": {
      const options = await deleteOptions(asked);
      return asked.answer(
        200,
        shaped(await rest.remove({ ...call, dryRun: call.dryRun || options.isDryRun }, options.options)),
      );
    }
    case "deletecollection": {
      const options = await deleteOptions(asked);
      const dryRun = call.dryRun || options.isDryRun;
      return asked.answer(
        200,
        shapedList(asked, await rest.removeCollection({ ...call, dryRun }, options.options, listQuery(query))),
      );
    }
  }
}

const isLog = ({ group, plural, subresource }: ResourceRequest["route"]): boolean =>
  group === "" && plural === "pods" && subresource === "log";

/** Subresources that only do something. */
function actionOf({ group, plural, subresource }: ResourceRequest["route"]): "eviction" | "token" | undefined {
  if (group !== "") return undefined;
  if (plural === "pods" && subresource === "eviction") return subresource;
  return plural === "serviceaccounts" && subresource === "token" ? subresource : undefined;
}

type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete" | "deletecollection";

function verbOf(method: string, route: ResourceRequest["route"], query: URLSearchParams): Verb {
  const isOne = route.name !== "";
  if (actionOf(route) !== undefined) {
    if (method === "POST") return "create";
    throw methodNotAllowed();
  }
  switch (method) {
    case "GET":
    case "HEAD":
      if (isTrue(query, "watch")) return "watch";
      return isOne ? "get" : "list";
    case "POST":
      if (!isOne) return "create";
      throw methodNotAllowed();
    case "PUT":
      if (isOne) return "update";
      throw methodNotAllowed();
    case "PATCH":
      if (isOne) return "patch";
      throw methodNotAllowed();
    case "DELETE":
      return isOne ? "delete" : "deletecollection";
    default:
      throw methodNotAllowed();
  }
}

/** The one object that a collection is asked for: a role may allow it by name. */
const selectedName = (query: URLSearchParams): string =>
  /^metadata\.name==?([^,=!]+)$/.exec(query.get("fieldSelector") ?? "")?.[1] ?? "";

const isTrue = (query: URLSearchParams, name: string): boolean => {
  const value = query.get(name);
  return value !== null && value !== "false" && value !== "0";
};

/** What a client calls itself: `kubectl/v1.32.4 (linux/amd64)` is `kubectl`. */
const programOf = (userAgent = ""): string => userAgent.split("/", 1)[0]!.slice(0, 128) || "unknown";

async function callOf({ user, kind, route, query, warn, request, readBody }: ResourceRequest): Promise<Call> {
  const dryRun = query.getAll("dryRun");
  if (dryRun.some((value) => value !== "All" && value !== ""))
    throw badRequest(
      `Invalid value: ${JSON.stringify(dryRun)}: dryRun: Unsupported value: ${JSON.stringify(dryRun[0])}: supported values: "All"`,
    );
  return {
    user,
    kind,
    namespace: route.namespace,
    name: route.name,
    subresource: route.subresource === "status" || route.subresource === "scale" ? route.subresource : "",
    dryRun: dryRun.includes("All"),
    fieldManager: query.get("fieldManager") ?? "",
    manager: query.get("fieldManager") || programOf(request.headers["user-agent"]),
    fieldValidation: fieldValidation(query.get("fieldValidation") ?? ""),
    ...(query.has("fieldValidation") && { duplicateFields: await duplicates(request, readBody) }),
    warn,
  };
}

/** Looked for only where the client asks for its fields to be checked: most clients write no JSON by hand. */
async function duplicates({ method, headers }: IncomingMessage, readBody: () => Promise<Buffer>): Promise<string[]> {
  const type = mediaTypeOf(headers["content-type"]);
  const isJson = type === "" || type.endsWith("json") || type === applyType;
  if ((method !== "POST" && method !== "PUT" && method !== "PATCH") || !isJson) return [];
  const text = (await readBody()).toString("utf8");
  try {
    JSON.parse(text);
  } catch {
    return []; // told where the body is read
  }
  return duplicateFields(text);
}

function fieldValidation(text: string): FieldValidation {
  if (text === "") return "Warn";
  if (text === "Strict" || text === "Warn" || text === "Ignore") return text;
  throw badRequest(
    `fieldValidation: Unsupported value: ${JSON.stringify(text)}: supported values: "Ignore", "Strict", "Warn"`,
  );
}

function listQuery(query: URLSearchParams): ListQuery {
  return {
    labelSelector: query.get("labelSelector") ?? "",
    fieldSelector: query.get("fieldSelector") ?? "",
    resourceVersion: query.get("resourceVersion") ?? "",
    resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
    limit: Math.max(0, Math.trunc(Number(query.get("limit") ?? 0)) || 0),
    continue: query.get("continue") ?? "",
  };
}

function timeoutMs(query: URLSearchParams): number | undefined {
  const seconds = Number(query.get("timeoutSeconds") ?? 0);
  // A day at most: longer does not fit a timer.
  return seconds > 0 ? Math.min(seconds, 86_400) * 1000 : undefined;
}

async function body(asked: ResourceRequest): Promise<unknown> {
  return decodeBody(await asked.readBody(), asked.request.headers["content-type"]);
}

/** From the body, or from the query where there is none. */
async function deleteOptions(asked: ResourceRequest): Promise<{ options: DeleteOptions; isDryRun: boolean }> {
  const bytes = await asked.readBody();
  const given = bytes.length === 0 ? {} : decodeBody(bytes, asked.request.headers["content-type"]);
  if (!isObject(given)) throw badRequest("the body is not DeleteOptions");
  const { query } = asked;
  const policy =
    given["orphanDependents"] === true
      ? "Orphan"
      : (given["propagationPolicy"] ?? query.get("propagationPolicy") ?? undefined);
  if (policy !== undefined && policy !== "Background" && policy !== "Foreground" && policy !== "Orphan")
    throw badRequest(
      `Invalid value: ${JSON.stringify(policy)}: propagationPolicy: must be one of Background, Foreground, Orphan`,
    );
  const grace = given["gracePeriodSeconds"] ?? query.get("gracePeriodSeconds") ?? undefined;
  const preconditions = given["preconditions"];
  const dryRun = given["dryRun"];
  return {
    options: {
      ...(policy === undefined ? {} : { propagationPolicy: policy }),
      ...(grace === undefined ? {} : { gracePeriodSeconds: Number(grace) }),
      ...(isObject(preconditions) ? { preconditions } : {}),
    },
    isDryRun: Array.isArray(dryRun) && dryRun.includes("All"),
  };
}

function includeObject(query: URLSearchParams): IncludeObject {
  const asked = query.get("includeObject");
  return asked === "None" || asked === "Object" ? asked : "Metadata";
}

/** An object in the form of the Accept header. Statuses and Scales are what they are. */
function shapedAnswer({ kind, request, query }: ResourceRequest, object: object): object {
  const shape = acceptedShape(request.headers.accept);
  const isOfKind = (object as KubeObject).kind === kind.resource.kind;
  if (shape === "object" || !isOfKind) return object;
  const one = object as KubeObject;
  if (shape !== "table") return partialOf(one);
  return tableOf(kind, [one], { resourceVersion: one.metadata.resourceVersion }, includeObject(query), Date.now());
}

function shapedList({ kind, request, query }: ResourceRequest, list: KubeList<KubeObject>): object {
  const shape = acceptedShape(request.headers.accept);
  if (shape === "object") return list;
  if (shape !== "table") return partialListOf(list);
  return tableOf(kind, list.items, list.metadata, includeObject(query), Date.now());
}

async function answerLogs({ pods }: ResourceDeps, { response, query }: ResourceRequest, pod: Pod): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const lines = podLogs(pods(), pod, query, gone.signal)[Symbol.asyncIterator]();
  let next = lines.next();
  // A refusal still gets its status; the first line of a quiet container that is followed may take for ever.
  await (query.get("follow") === "true" ? Promise.race([next, setImmediate()]) : next);
  response.writeHead(200, { "content-type": "text/plain" });
  response.flushHeaders();
  try {
    for (let item = await next; item.done !== true; item = await next) {
      if (!response.write(item.value)) await drained(response);
      if (gone.signal.aborted) return;
      next = lines.next();
    }
    response.end();
  } catch (error) {
    if (gone.signal.aborted) return;
    // The head is out: only a broken connection says that this is not all.
    response.destroy(error as Error);
  } finally {
    // Not awaited: a reader that waits for output ends by the signal.
    if (gone.signal.aborted) void lines.return?.();
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}
