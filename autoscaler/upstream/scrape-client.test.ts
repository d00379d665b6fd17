import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import { createScrapeClient, type Answer, type Question } from "./scrape-client.ts";

/** As Knative's own queue-proxy answered. */
const recorded = Buffer.from(
  "0a0f68656c6c6f2d30303030312d706f6411000000000000204019000000000000084031090d9ceacb031440",
  "hex",
);

async function ask(t: Test, listener: RequestListener, question: Partial<Question> = {}): Promise<Answer> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = createScrapeClient();
  t.teardown(async () => {
    await client.close();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return client.ask({ host: "127.0.0.1", port, ...question }, new AbortController().signal);
}

test("the question and a recorded answer", async (t) => {
  let head: unknown;
  const answer = await ask(
    t,
    (request, response) => {
      head = { url: request.url, ...request.headers };
      response.writeHead(200, { "Content-Type": "application/protobuf" }).end(recorded);
    },
    { name: "hello-00001-private.default", passThrough: true },
  );
  t.match(answer, { is: "stat", stat: { averageConcurrentRequests: 8, averageProxiedConcurrentRequests: 3 } });
  t.match(head, {
    url: "/metrics",
    accept: "application/protobuf",
    host: "hello-00001-private.default",
    "knative-direct-lb": "true",
  });
});

const rows: [string, RequestListener, object][] = [
  ["another type", (_q, r) => r.writeHead(200, { "Content-Type": "text/plain" }).end("x"), { because: "type" }],
  ["an error", (_q, r) => r.writeHead(404).end(), { because: "status", mayBeMesh: false }],
  ["a proxy that cannot go on", (_q, r) => r.writeHead(502).end("x"), { because: "status", mayBeMesh: true }],
  ["a mesh that refuses", (_q, r) => r.writeHead(503).end("x"), { because: "status", mayBeMesh: true }],
  [
    "an endless answer",
    (_q, r) => {
      r.writeHead(200, { "Content-Type": "application/protobuf" });
      r.on("error", () => undefined);
      r.write(Buffer.alloc(337));
    },
    { because: "size" },
  ],
  [
    "bytes that are no Stat",
    (_q, r) => r.writeHead(200, { "Content-Type": "application/protobuf" }).end(Buffer.from("0aff", "hex")),
    { because: "encoding" },
  ],
  ["a connection that breaks", (q) => q.socket.destroy(), { because: "unreachable", mayBeMesh: false }],
];
for (const [name, listener, want] of rows)
  test(`${name} is no stat`, async (t) => {
    t.match(await ask(t, listener), { is: "failed", ...want });
  });
