/**
 * The API server over HTTP. Requests share a bounded pool of keep-alive connections; each watch has a connection of
 * its own, so that many watches never leave a request waiting.
 */
import { Agent, type Dispatcher } from "undici";
import { apiVersionOf, type KubeObject, type Resource, type Status } from "../api/meta.ts";
import { ClientCounts } from "./client-counts.ts";
import {
  ApiError,
  type DeleteOptions,
  type KubeClient,
  type ListOptions,
  type Patch,
  type Trim,
  type WatchEvent,
  type WatchOptions,
  type WriteOptions,
} from "./client.ts";
import { Deadline } from "./deadline.ts";
import { jsonList } from "./json-list.ts";
import { jsonLines } from "./json-lines.ts";

export interface HttpsClientOptions {
  /** `https://host:port`, without a path or with the prefix of a proxy. */
  server: string;
  /** PEM. */
  ca?: string;
  /** Asked for each request, so it may change. */
  token?: () => string | undefined;
  /** PEM. */
  clientCert?: string;
  /** PEM. */
  clientKey?: string;
  userAgent: string;
  /** The name the server's certificate is checked against, when it is not the host of `server`. */
  servername?: string;
  /** Takes any certificate. */
  insecure?: boolean;
}

export interface HttpsClient extends KubeClient {
  readonly counts: ClientCounts;
  close(): Promise<void>;
}

/** A request that is not answered in this time fails. */
const requestTimeoutMs = 30_000;
/** A list of a large cluster has hundreds of megabytes; one that stalls ends with the limit of a request. */
const listTimeoutMs = 300_000;
const connectTimeoutMs = 10_000;
/** TCP probes start after this much silence; Node lets ten go unanswered, a second apart. A dead peer is noticed then. */
const keepAliveProbeAfterMs = 15_000;
/** How long after its own time limit a watch that the server should have ended is given up. */
const watchGraceMs = 30_000;
/** Without a limit from the caller API servers choose one below two hours. */
const unlimitedWatchSeconds = 2 * 3600;
const maxConnections = 64;

const patchTypes: Record<Patch["is"], string> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
};

export function httpsClient(options: HttpsClientOptions): HttpsClient {
  const server = new URL(options.server);
  const prefix = server.pathname.replace(/\/+$/, "");
  const connect = {
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.clientCert === undefined ? {} : { cert: options.clientCert }),
    ...(options.clientKey === undefined ? {} : { key: options.clientKey }),
    ...(options.servername === undefined ? {} : { servername: options.servername }),
    ...(options.insecure === true ? { rejectUnauthorized: false } : {}),
    timeout: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: keepAliveProbeAfterMs,
  };
  // HTTP/1.1: over HTTP/2 one stalled connection would stall every watch at once.
  const shared = { connect, allowH2: false, pipelining: 1, headersTimeout: requestTimeoutMs };
  const requests = new Agent({
    ...shared,
    connections: maxConnections,
    bodyTimeout: requestTimeoutMs,
    keepAliveTimeout: 60_000,
  });
  const watches = new Agent({ ...shared, bodyTimeout: 0, keepAliveTimeout: 1000 });
  const counts = new ClientCounts(server);

  const send = async (
    agent: Agent,
    method: Dispatcher.HttpMethod,
    path: string,
    { body, contentType = "application/json", signal }: { body?: unknown; contentType?: string; signal: AbortSignal },
  ): Promise<Dispatcher.ResponseData> => {
    const token = options.token?.();
    const asking = agent.request({
      origin: server.origin,
      path: prefix + path,
      method,
      signal,
      headers: {
        accept: "application/json",
        "user-agent": options.userAgent,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": contentType }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const response = await counts.counted(method, path, asking);
    if (response.statusCode >= 400) throw new ApiError(await failure(response));
    return response;
  };

  const call = async <T>(
    method: Dispatcher.HttpMethod,
    path: string,
    content: { body?: unknown; contentType?: string } = {},
  ): Promise<T> => {
    // Covers the wait for a free connection too, which undici's own limits do not.
    using deadline = new Deadline(requestTimeoutMs, "no answer from the API server");
    const response = await send(requests, method, path, { ...content, signal: deadline.signal });
    return (await response.body.json()) as T;
  };

  return {
    counts,

    get: (resource, name, namespace, subresource) => call("GET", pathOf(resource, namespace, name, subresource)),

    async list<T extends KubeObject>(resource: Resource, list: ListOptions = {}, trim?: Trim<T>) {
      const path = pathOf(resource, list.namespace) + query(selection(list));
      using deadline = new Deadline(listTimeoutMs, "the list from the API server did not end");
      const response = await send(requests, "GET", path, { signal: deadline.signal });
      // Items of built-in kinds come without these two; everything behind this client may rely on them.
      const apiVersion = apiVersionOf(resource);
      return await jsonList<T>(response.body, (item) => {
        item.apiVersion ??= apiVersion;
        item.kind ??= resource.kind;
        return trim === undefined ? item : trim(item);
      });
    },

    create: (resource, object, write) =>
      call("POST", pathOf(resource, object.metadata.namespace, undefined, write?.subresource) + query(writing(write)), {
        body: object,
      }),

    update: (resource, object, write) =>
      call(
        "PUT",
        pathOf(resource, object.metadata.namespace, object.metadata.name, write?.subresource) + query(writing(write)),
        { body: object },
      ),

    patch: (resource, name, namespace, patch, write) =>
      call("PATCH", pathOf(resource, namespace, name, write?.subresource) + query(writing(write)), {
        body: patch.is === "json" ? patch.operations : patch.body,
        contentType: patchTypes[patch.is],
      }),

    async delete(resource, name, namespace, deleting: DeleteOptions = {}) {
      await call("DELETE", pathOf(resource, namespace, name), {
        body: { apiVersion: "v1", kind: "DeleteOptions", ...deleting },
      });
    },

    async *watch<T extends KubeObject>(resource: Resource, watch: WatchOptions): AsyncGenerator<WatchEvent<T>> {
      const path =
        pathOf(resource, watch.namespace) +
        query({
          ...selection(watch),
          watch: "true",
          allowWatchBookmarks: "true",
          ...(watch.timeoutSeconds === undefined ? {} : { timeoutSeconds: String(watch.timeoutSeconds) }),
        });
      const limitMs = (watch.timeoutSeconds ?? unlimitedWatchSeconds) * 1000 + watchGraceMs;
      using deadline = new Deadline(limitMs, "the API server did not end the watch", watch.signal);
      const response = await send(watches, "GET", path, { signal: deadline.signal });
      for await (const event of jsonLines<WatchEvent<T>>(response.body)) {
        if (event.type === "ERROR" && event.object.code === 410) throw new ApiError(event.object);
        yield event;
      }
    },

    async close() {
      await Promise.all([requests.destroy(), watches.destroy()]);
    },
  };
}

/** `/api/v1/namespaces/NS/pods/NAME/status` and the like. */
export function pathOf(resource: Resource, namespace?: string, name?: string, subresource?: string): string {
  const root = resource.group === "" ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const place =
    resource.namespaced && namespace !== undefined && namespace !== ""
      ? `/namespaces/${encodeURIComponent(namespace)}`
      : "";
  const object = name === undefined ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${place}/${resource.plural}${object}${subresource === undefined ? "" : `/${subresource}`}`;
}

function query(parameters: Record<string, string>): string {
  const text = new URLSearchParams(parameters).toString();
  return text === "" ? "" : `?${text}`;
}

function selection({ labelSelector, fieldSelector, resourceVersion }: ListOptions): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    ...(resourceVersion === undefined || resourceVersion === "" ? {} : { resourceVersion }),
  };
}

function writing({ dryRun, fieldManager }: WriteOptions = {}): Record<string, string> {
  return {
    ...(dryRun === true ? { dryRun: "All" } : {}),
    ...(fieldManager === undefined ? {} : { fieldManager }),
  };
}

/** A failed answer as a Status, also when a proxy in between answered with something else. */
async function failure(response: Dispatcher.ResponseData): Promise<Status> {
  const text = await response.body.text();
  try {
    const status = JSON.parse(text) as Partial<Status> | null;
    if (status?.kind === "Status") return { ...(status as Status), code: status.code ?? response.statusCode };
  } catch {
    // Not JSON: its text is the message.
  }
  const message = text.trim().slice(0, 1000);
  return {
    apiVersion: "v1",
    kind: "Status",
    metadata: {},
    status: "Failure",
    code: response.statusCode,
    message: message === "" ? `the API server answered HTTP ${response.statusCode}` : message,
  };
}
