import type { IncomingMessage } from "node:http";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { test } from "tap";
import { closedPort, get, raw, startApp, startSidecar, unobserved } from "./fixture.ts";
import { attributesOf, fieldsOf, hex, inner, startCollector, text } from "./otlp-fixture.ts";
import { isSampled, parentContext } from "./tracing.ts";

interface SpanRow {
  name: string;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  traceState: string;
  kind: number;
  startNs: bigint;
  endNs: bigint;
  status: number;
  attributes: Record<string, unknown>;
}

/** An ExportTraceServiceRequest. */
function decoded(request: Uint8Array): { resource: Record<string, unknown>; spans: SpanRow[] } {
  const [resourceSpans] = inner(request, 1);
  const [resource] = inner(resourceSpans!, 1);
  const [scopeSpans] = inner(resourceSpans!, 2);
  const spans = inner(scopeSpans!, 2).map((bytes): SpanRow => {
    const fields = fieldsOf(bytes);
    const of = (number: number) => fields.find(({ field }) => field === number)?.value;
    const status = of(15);
    return {
      name: text(of(5)),
      traceId: hex(of(1)),
      spanId: hex(of(2)),
      parentSpanId: hex(of(4)),
      traceState: of(3) === undefined ? "" : text(of(3)),
      kind: of(6) as number,
      startNs: of(7) as bigint,
      endNs: of(8) as bigint,
      status: status === undefined ? 0 : (fieldsOf(status as Uint8Array)[0]!.value as number),
      attributes: attributesOf(fields, 9),
    };
  });
  return { resource: attributesOf(fieldsOf(resource!), 1), spans };
}

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

test("spans over OTLP/HTTP", async (t) => {
  const { port: collectorPort, requests: batches } = await startCollector(t);
  let seen: IncomingMessage["headers"] = {};
  const userPort = await startApp(t, (incoming, outgoing) => {
    seen = incoming.headers;
    outgoing.statusCode = incoming.url === "/broken" ? 500 : 200;
    outgoing.end("ok");
  });
  const tracing = {
    protocol: "http/protobuf" as const,
    endpoint: `http://127.0.0.1:${collectorPort}`,
    samplingRate: 0,
    serviceName: "hello",
  };
  const sidecar = await startSidecar(t, {
    userPort,
    containerConcurrency: 1,
    observability: { ...unobserved, tracing },
  });

  await raw(
    sidecar.port,
    get("/a?secret=1", `traceparent: ${parent}\r\ntracestate: a=b\r\nbaggage: k=v\r\nKnative-Serving-Tag: blue\r\n`),
  );
  const toApp = parentContext(seen["traceparent"] as string)!;
  t.match(seen, { tracestate: "a=b", baggage: "k=v" });
  await raw(sidecar.port, get("/broken", `traceparent: ${parent}\r\n`));
  await raw(sidecar.port, get("/not-sampled", `traceparent: ${unsampled}\r\n`));
  t.match(seen["traceparent"], /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-00$/);
  await raw(sidecar.port, get("/no-parent"));
  t.match(seen["traceparent"], /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/, "decided here, by a ratio of 0");
  await raw(sidecar.port, get("/", `traceparent: ${parent}\r\nK-Network-Probe: probe\r\nK-Network-Hash: x\r\n`));
  sidecar.stop();
  await sidecar.finished;

  t.equal(batches.length, 1, "what is left is sent at the end");
  t.match(batches[0], { url: "/v1/traces", type: "application/x-protobuf" });
  const { resource, spans } = decoded(batches[0]!.body);
  t.match(resource, {
    "service.name": "hello",
    "k8s.pod.name": "hello-00001-pod",
    "k8s.namespace.name": "default",
    "kn.revision.name": "hello-00001",
    "container.name": "queue-proxy",
  });
  t.strictSame(
    spans.map(({ name }) => name),
    [
      ["kn.queueproxy.wait", "HTTP GET", "kn.queueproxy.proxy", "GET"],
      ["kn.queueproxy.wait", "HTTP GET", "kn.queueproxy.proxy", "GET"],
    ].flat(),
    "neither probes nor what is not sampled",
  );
  const [wait, client, proxy, server] = spans as [SpanRow, SpanRow, SpanRow, SpanRow];
  t.equal(server.parentSpanId, "b7ad6b7169203331");
  t.equal(proxy.parentSpanId, server.spanId);
  t.equal(wait.parentSpanId, proxy.spanId);
  t.equal(client.parentSpanId, proxy.spanId);
  t.equal(toApp.parentSpanId!.toString("hex"), client.spanId, "the app's parent is the client span");
  t.strictSame([server.kind, proxy.kind, client.kind], [2, 1, 3]);
  t.ok(spans.every(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c"));
  t.equal(server.traceState, "a=b");
  t.match(server.attributes, {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "url.path": "/a",
    "kn.route.tag": "blue",
    "http.response.body.size": 2,
  });
  t.ok(server.startNs <= proxy.startNs && proxy.startNs <= client.startNs && client.endNs <= server.endNs, "in time");
  t.ok(Math.abs(Number(server.startNs / 1_000_000n) - Date.now()) < 60_000, "since the epoch");
  t.strictSame([server.status, spans[7]!.status], [0, 2], "a 500 is an error");
});

test("spans over OTLP/gRPC", async (t) => {
  const requests: Buffer[] = [];
  const server = new Server();
  const same = (bytes: Buffer): Buffer => bytes;
  const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  server.addService(
    {
      Export: {
        path,
        requestStream: false,
        responseStream: false,
        requestSerialize: same,
        requestDeserialize: same,
        responseSerialize: same,
        responseDeserialize: same,
      },
    },
    {
      Export: (call: { request: Buffer }, answer: (error: null, value: Buffer) => void) => {
        requests.push(call.request);
        answer(null, Buffer.alloc(0));
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.teardown(() => server.forceShutdown());
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const tracing = { protocol: "grpc" as const, endpoint: `127.0.0.1:${port}`, samplingRate: 1, serviceName: "hello" };
  const sidecar = await startSidecar(t, { userPort, observability: { ...unobserved, tracing } });
  await raw(sidecar.port, get("/"));
  sidecar.stop();
  await sidecar.finished;
  t.equal(requests.length, 1);
  t.strictSame(
    decoded(requests[0]!).spans.map(({ name, parentSpanId }) => [name, parentSpanId !== ""]),
    [
      ["HTTP GET", true],
      ["kn.queueproxy.proxy", true],
      ["GET", false],
    ],
    "no wait without a breaker; the trace starts here",
  );
});

test("a collector that is not there harms nobody", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const endpoint = `http://127.0.0.1:${await closedPort()}`;
  const tracing = { protocol: "http/protobuf" as const, endpoint, samplingRate: 1, serviceName: "hello" };
  const sidecar = await startSidecar(t, { userPort, observability: { ...unobserved, tracing } });
  t.match(await raw(sidecar.port, get("/")), /ok$/);
  sidecar.stop();
  await sidecar.finished;
  t.ok(sidecar.lines.some((line) => line.includes("did not take the spans")));
});

test("the parent's context", (t) => {
  const rows = [
    { name: "sampled", field: parent, want: { sampled: true } },
    { name: "not sampled", field: unsampled, want: { sampled: false } },
    { name: "a later version with more fields", field: `cc${parent.slice(2)}-more`, want: { sampled: true } },
    { name: "version 00 with more fields", field: `${parent}-more`, want: undefined },
    { name: "version ff", field: `ff${parent.slice(2)}`, want: undefined },
    { name: "a trace of zeros", field: `00-${"0".repeat(32)}-b7ad6b7169203331-01`, want: undefined },
    { name: "a span of zeros", field: `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`, want: undefined },
    { name: "upper case", field: parent.toUpperCase(), want: undefined },
    { name: "nothing", field: undefined, want: undefined },
  ];
  for (const { name, field, want } of rows)
    if (want === undefined) t.equal(parentContext(field), undefined, name);
    else t.match(parentContext(field), want, name);
  t.end();
});

test("the ratio decides by the trace's id", (t) => {
  const id = (top: number): Buffer => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32BE(top, 8);
    return bytes;
  };
  t.ok(isSampled(id(0xffffffff), 1));
  t.notOk(isSampled(id(0), 0));
  t.ok(isSampled(id(0x0fffffff), 0.1));
  t.notOk(isSampled(id(0x20000000), 0.1));
  t.end();
});

test("off: nothing is changed and nothing is loaded", async (t) => {
  let seen: IncomingMessage["headers"] = {};
  const userPort = await startApp(t, (incoming, outgoing) => {
    seen = incoming.headers;
    outgoing.end();
  });
  const { port } = await startSidecar(t, { userPort });
  await raw(port, get("/", `traceparent: ${parent}\r\ntracestate: a=b\r\nbaggage: k=v\r\n`));
  t.match(seen, { traceparent: parent, tracestate: "a=b", baggage: "k=v" });
});
