/** One watch over HTTP: a line of JSON per event, in the shape the client asked for. */
import type { ServerResponse } from "node:http";
import { apiVersionOf, type KubeObject } from "../../api/meta.ts";
import { presented, type Call } from "./call.ts";
import type { Shape } from "./negotiation.ts";
import type { Rest, WatchQuery } from "./rest.ts";
import { partialOf, tableOf, type IncludeObject } from "./table.ts";
import type { Event, Watch } from "./watch.ts";

export interface WatchResponseOptions {
  rest: Rest;
  call: Call;
  query: WatchQuery;
  shape: Shape;
  includeObject: IncludeObject;
  /** Of the whole watch; undefined for the server's choice. */
  timeoutMs: number | undefined;
}

/** A client that does not read is cut off when this much is waiting for it: it can watch again from where it was. */
const mostWaitingBytes = 16 * 1024 * 1024;
/** Half an hour to an hour, so that watches opened together do not end together. */
const defaultTimeoutMs = (): number => 1_800_000 * (1 + Math.random());

/** Resolves when the watch has ended. Throws ApiError before anything was sent. */
export async function answerWatch(response: ServerResponse, options: WatchResponseOptions): Promise<void> {
  const { rest, call, query, timeoutMs = defaultTimeoutMs() } = options;
  const encode = encoder(options);
  let waiting = "";
  let isOpen = false;
  const flush = (): void => {
    if (waiting === "") return;
    const lines = waiting;
    waiting = "";
    if (response.writableLength > mostWaitingBytes) response.destroy();
    else response.write(lines);
  };
  // Writes come in bursts, and each record of TLS costs more than the events in it.
  const send = (line: string): void => {
    if (isOpen && waiting === "") setImmediate(flush);
    waiting += line;
  };
  const watch: Watch = rest.watch(call, query, (event) => send(`${encode(event)}\n`));
  isOpen = true;
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-cache, private" });
  if (waiting === "") response.flushHeaders();
  else flush();
  const closed = Promise.withResolvers<void>();
  response.once("close", () => closed.resolve());
  const timer = setTimeout(() => {
    watch.bookmark();
    watch.close();
    flush();
    response.end();
  }, timeoutMs).unref();
  await closed.promise;
  clearTimeout(timer);
  watch.close();
}

function encoder({ call, shape, includeObject }: WatchResponseOptions): (event: Event) => string {
  const { kind } = call;
  const apiVersion = apiVersionOf(kind.resource);
  // Only the first table says what its columns are.
  let told = false;
  const table = (object: KubeObject): object => {
    const made = tableOf(
      kind,
      [object],
      { resourceVersion: object.metadata.resourceVersion },
      includeObject,
      Date.now(),
    );
    if (told) made.columnDefinitions = [];
    told = true;
    return made;
  };
  const shaped = (object: KubeObject): object =>
    shape === "table" ? table(object) : shape === "object" ? object : partialOf(object);
  return (event) => {
    if (event.type === "BOOKMARK") {
      const annotations = event.initialEventsEnd ? { annotations: { "k8s.io/initial-events-end": "true" } } : {};
      const metadata = { resourceVersion: String(event.version), creationTimestamp: null, ...annotations };
      const object = { apiVersion, kind: kind.resource.kind, metadata } as unknown as KubeObject;
      return JSON.stringify({ type: "BOOKMARK", object: shape === "table" ? bookmarkTable(object) : object });
    }
    if (shape === "object" && event.json !== undefined && (!kind.isCustom || event.object.apiVersion === apiVersion))
      return `{"type":"${event.type}","object":${event.json}}`;
    return JSON.stringify({ type: event.type, object: shaped(presented(kind, event.object)) });
  };
}

const bookmarkTable = (object: KubeObject): object => ({
  kind: "Table",
  apiVersion: "meta.k8s.io/v1",
  metadata: { resourceVersion: object.metadata.resourceVersion },
  columnDefinitions: [],
  rows: [{ cells: [], object: partialOf(object) }],
});
