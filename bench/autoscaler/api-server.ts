/**
 * As much of an API server as the autoscaler needs, cheap enough to share a machine with what is measured: lists are
 * streamed, watches hear of every write, and writes of replicas are told with the time they came.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { KubeObject, Resource } from "../../api/meta.ts";

interface Collection {
  readonly objects: Map<string, KubeObject>;
  /** In place of objects, for a kind that nobody writes. */
  fixed: (() => Iterable<string>) | undefined;
  readonly watches: Set<ServerResponse>;
}

interface Place {
  collection: string;
  key: string | undefined;
  subresource: string | undefined;
}

export interface ScaleWrite {
  deployment: string;
  replicas: number;
  /** Nanoseconds of the monotonic clock, which all processes of the machine share. */
  atNs: bigint;
}

const listChunkBytes = 256 * 1024;

export class BenchApiServer {
  readonly #collections = new Map<string, Collection>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((request, response) => {
    this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  #version = 1_000_000;
  /** Requests that changed something, renewals of leases aside. */
  writes = 0;
  onScale: (write: ScaleWrite) => void = () => {};

  async start(): Promise<string> {
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  put(resource: Resource, object: KubeObject): void {
    this.#store(this.#collection(pathOf(resource)), object);
  }

  fix(resource: Resource, items: () => Iterable<string>): void {
    this.#collection(pathOf(resource)).fixed = items;
  }

  #collection(path: string): Collection {
    let found = this.#collections.get(path);
    if (found === undefined)
      this.#collections.set(path, (found = { objects: new Map(), fixed: undefined, watches: new Set() }));
    return found;
  }

  #store(collection: Collection, object: KubeObject): KubeObject {
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const found = collection.objects.get(key);
    this.#version += 1;
    const uid = found?.metadata.uid ?? object.metadata.uid ?? `uid-${this.#version}`;
    const stored = { ...object, metadata: { ...object.metadata, uid, resourceVersion: String(this.#version) } };
    collection.objects.set(key, stored);
    if (collection.watches.size > 0) {
      const event = `${JSON.stringify({ type: found === undefined ? "ADDED" : "MODIFIED", object: stored })}\n`;
      for (const watch of collection.watches) watch.write(event);
    }
    return stored;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const atNs = process.hrtime.bigint();
    const url = new URL(request.url ?? "/", "http://api");
    const place = placeOf(url.pathname);
    const collection = this.#collection(place.collection);
    const method = request.method ?? "GET";
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = (): KubeObject => JSON.parse(Buffer.concat(chunks).toString()) as KubeObject;
    if (method === "GET" && place.key === undefined) {
      if (url.searchParams.get("watch") === "true") this.#watch(collection, response);
      else await this.#list(collection, response);
      return;
    }
    if (method !== "GET" && !place.collection.endsWith("/leases")) this.writes += 1;
    if (method === "POST") return json(response, 201, this.#store(collection, body()));
    const found = collection.objects.get(place.key ?? "");
    if (found === undefined) return notFound(response);
    if (method === "GET") return json(response, 200, found);
    if (place.subresource === "scale") {
      const [operation] = body() as unknown as [{ value: number }];
      this.onScale({ deployment: found.metadata.name ?? "", replicas: operation.value, atNs });
      const spec = { ...(found as KubeObject & { spec: object }).spec, replicas: operation.value };
      return json(response, 200, this.#store(collection, { ...found, spec } as KubeObject));
    }
    const { status } = body() as KubeObject & { status?: unknown };
    const next = place.subresource === "status" ? ({ ...found, status } as KubeObject) : body();
    return json(response, 200, this.#store(collection, next));
  }

  #watch({ watches }: Collection, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
    watches.add(response);
    response.on("close", () => watches.delete(response));
  }

  async #list({ objects, fixed }: Collection, response: ServerResponse): Promise<void> {
    response.writeHead(200, { "content-type": "application/json" });
    let chunk = `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"${this.#version}"},"items":[`;
    let first = true;
    const items = fixed?.() ?? jsonOf(objects.values());
    for (const item of items) {
      chunk += first ? item : `,${item}`;
      first = false;
      if (chunk.length < listChunkBytes) continue;
      // Rejects when the other side is gone.
      if (!response.write(chunk)) await once(response, "drain");
      chunk = "";
    }
    response.end(`${chunk}]}`);
  }
}

const pathOf = ({ group, version, plural }: Resource): string =>
  group === "" ? `/api/${version}/${plural}` : `/apis/${group}/${version}/${plural}`;

function placeOf(path: string): Place {
  const match =
    /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)(?:\/([^/]+))?(?:\/([^/]+))?$/.exec(path);
  if (match === null) throw new Error(`no such path: ${path}`);
  const [, root = "", namespace, plural = "", name, subresource] = match;
  return { collection: `${root}/${plural}`, key: name === undefined ? undefined : `${namespace}/${name}`, subresource };
}

function json(response: ServerResponse, code: number, value: unknown): void {
  response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(value));
}

const notFound = (response: ServerResponse): void =>
  json(response, 404, {
    apiVersion: "v1",
    kind: "Status",
    metadata: {},
    status: "Failure",
    code: 404,
    reason: "NotFound",
  });

function* jsonOf(objects: Iterable<KubeObject>): Generator<string> {
  for (const object of objects) yield JSON.stringify(object);
}
