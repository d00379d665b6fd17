/**
 * For tests: one resource of an API server over a real socket, with the faults that a real one has. It keeps every
 * event, so any watch can resume; `compact` forgets them, as etcd does.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { keyOf, type KubeObject } from "../api/meta.ts";

interface Stored {
  type: "ADDED" | "MODIFIED" | "DELETED";
  path: string;
  object: KubeObject;
  version: number;
}

export interface FakeRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
}

export class FakeApiServer {
  readonly requests: FakeRequest[] = [];
  /** Answers requests in place of the server while it returns true. */
  intercept: ((request: FakeRequest, response: ServerResponse) => boolean) | undefined;
  readonly #objects = new Map<string, { path: string; object: KubeObject }>();
  #events: Stored[] = [];
  #version = 100;
  #oldest = 0;
  readonly #watches = new Map<ServerResponse, { path: string; query: URLSearchParams }>();
  readonly #sockets = new Set<Socket>();
  #server = createServer();
  #port = 0;
  #changed = Promise.withResolvers<void>();

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get watches(): number {
    return this.#watches.size;
  }

  get version(): number {
    return this.#version;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** As a crash: every connection is reset. What is stored stays. */
  async stop(): Promise<void> {
    this.#watches.clear();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    this.#server.close();
    if (this.#server.listening) await once(this.#server, "close");
  }

  /** Resets every watch's connection. */
  resetWatches(): void {
    for (const response of this.#watches.keys()) response.socket?.resetAndDestroy();
    this.#watches.clear();
  }

  /** Ends every watch as its time limit does. */
  endWatches(): void {
    for (const response of this.#watches.keys()) response.end();
    this.#watches.clear();
  }

  /** Forgets events: a watch from before answers 410 from now on. */
  compact(): void {
    this.#events = [];
    this.#oldest = this.#version;
  }

  sendToWatches(event: unknown): void {
    for (const response of this.#watches.keys()) response.write(`${JSON.stringify(event)}\n`);
  }

  /** Stores without a request; `path` is the collection, `/api/v1/pods`. */
  put(path: string, object: KubeObject): KubeObject {
    const key = `${path} ${keyOf(object)}`;
    this.#version += 1;
    const found = this.#objects.get(key)?.object;
    const stored = {
      ...object,
      metadata: {
        uid: found?.metadata.uid ?? `uid-${this.#version}`,
        ...object.metadata,
        resourceVersion: String(this.#version),
      },
    };
    this.#objects.set(key, { path, object: stored });
    this.#publish({ type: found === undefined ? "ADDED" : "MODIFIED", path, object: stored, version: this.#version });
    return stored;
  }

  remove(path: string, objectKey: string): void {
    const key = `${path} ${objectKey}`;
    const found = this.#objects.get(key);
    if (found === undefined) throw new Error(`no ${key}`);
    this.#objects.delete(key);
    this.#version += 1;
    const object = {
      ...found.object,
      metadata: { ...found.object.metadata, resourceVersion: String(this.#version) },
    };
    this.#publish({ type: "DELETED", path, object, version: this.#version });
  }

  read(path: string, objectKey: string): KubeObject | undefined {
    return this.#objects.get(`${path} ${objectKey}`)?.object;
  }

  list(path: string): KubeObject[] {
    return [...this.#objects.values()].filter((entry) => entry.path === path).map(({ object }) => object);
  }

  /** Resolves once the condition holds; asked again after each request and write. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #publish(event: Stored): void {
    this.#events.push(event);
    for (const [response, watch] of this.#watches) if (matches(event, watch)) writeEvent(response, event);
    this.#notify();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const seen: FakeRequest = {
      method: request.method ?? "GET",
      path: url.pathname,
      query: url.searchParams,
      headers: request.headers,
    };
    this.requests.push(seen);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (this.intercept?.(seen, response) !== true) this.#answer(seen, response, Buffer.concat(chunks).toString());
    this.#notify();
  }

  #answer(request: FakeRequest, response: ServerResponse, body: string): void {
    const { collection, namespace, name } = parsePath(request.path);
    const key = namespace === undefined ? (name ?? "") : `${namespace}/${name}`;
    const found = this.read(collection, key);
    const json = (code: number, value: unknown): void => {
      response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(value));
    };
    const fail = (code: number, reason: string): void =>
      json(code, { apiVersion: "v1", kind: "Status", metadata: {}, status: "Failure", code, reason, message: reason });
    if (request.query.get("watch") === "true") {
      const from = Number(request.query.get("resourceVersion") ?? "0");
      if (from < this.#oldest) return fail(410, "Expired");
      response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      const watch = { path: collection, query: request.query };
      for (const event of this.#events) if (event.version > from && matches(event, watch)) writeEvent(response, event);
      this.#watches.set(response, watch);
      response.on("close", () => {
        this.#watches.delete(response);
        this.#notify();
      });
      return;
    }
    if (request.method === "GET" && name === undefined) {
      const wanted = Number(request.query.get("resourceVersion") ?? "0");
      if (wanted > this.#version) return fail(504, "Timeout");
      const all = this.list(collection).filter(
        (object) => namespace === undefined || object.metadata.namespace === namespace,
      );
      // As for built-in kinds, items carry neither apiVersion nor kind.
      const items = all.map((object) => ({ ...object, apiVersion: undefined, kind: undefined }));
      return json(200, { kind: "List", apiVersion: "v1", metadata: { resourceVersion: String(this.#version) }, items });
    }
    if (request.method === "POST") {
      const object = JSON.parse(body) as KubeObject;
      if (this.read(collection, keyOf(object)) !== undefined) return fail(409, "AlreadyExists");
      return json(201, this.put(collection, object));
    }
    if (found === undefined) return fail(404, "NotFound");
    if (request.method === "GET") return json(200, found);
    if (request.method === "PUT") {
      const object = JSON.parse(body) as KubeObject;
      const { resourceVersion } = object.metadata;
      if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion)
        return fail(409, "Conflict");
      const isStatus = request.path.endsWith("/status");
      const status = (object as { status?: unknown }).status;
      return json(200, this.put(collection, isStatus ? ({ ...found, status } as KubeObject) : object));
    }
    if (request.method === "PATCH") return json(200, this.put(collection, { ...found, ...JSON.parse(body) }));
    this.remove(collection, key);
    return json(200, { kind: "Status", status: "Success" });
  }
}

/** Drops the namespace from a path, so that one collection holds all of them. */
function parsePath(path: string): { collection: string; namespace?: string; name?: string } {
  const match = /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?/.exec(path);
  if (match === null) throw new Error(`no such path: ${path}`);
  const [, root = "", namespace, plural = "", name] = match;
  return {
    collection: `${root}/${plural}`,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  };
}

function matches(event: Stored, { path, query }: { path: string; query: URLSearchParams }): boolean {
  const name = /^metadata\.name=(.+)$/.exec(query.get("fieldSelector") ?? "")?.[1];
  return event.path === path && (name === undefined || event.object.metadata.name === name);
}

const writeEvent = (response: ServerResponse, { type, object }: Stored): void => {
  response.write(`${JSON.stringify({ type, object })}\n`);
};
