import http from "node:http";
import http2 from "node:http2";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test } from "tap";
import type { Probe } from "../../api/core.ts";
import { address, runProbe, type ProbeTarget } from "./probes.ts";

async function listening(server: Server | http2.Http2Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

const target = (portMap: [number, number][] = []): ProbeTarget => ({
  container: { name: "main", ports: [{ name: "user-port", containerPort: 8080 }] },
  podIP: "127.0.0.1",
  portMap: new Map(portMap),
  exec: async (command) => ({ code: command[0] === "true" ? 0 : 1, output: "nothing there" }),
});

test("what each kind of probe says", async (t) => {
  const web = http.createServer((request, response) => {
    if (request.url === "/moved") response.writeHead(302, { location: "/ok" });
    else if (request.url === "/bad-move") response.writeHead(302, { location: "/broken" });
    else if (request.url === "/slow") return;
    else response.writeHead(request.url === "/ok" && request.headers["x-own"] === "1" ? 200 : 503);
    response.end();
  });
  const health = http2.createServer();
  health.on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      const service = Buffer.concat(chunks).subarray(7).toString();
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": service === "none" ? "5" : "0" }));
      stream.end(Buffer.from([0, 0, 0, 0, 2, 8, service === "down" ? 2 : 1]));
    });
  });
  const closed = createServer();
  const [webPort, healthPort, closedPort] = await Promise.all([web, health, closed].map(listening));
  await new Promise((resolve) => closed.close(resolve));
  t.teardown(() => {
    web.closeAllConnections();
    web.close();
    health.close();
  });

  const get = (path: string, port: number | string = webPort!): Probe => ({
    httpGet: { path, port, httpHeaders: [{ name: "X-Own", value: "1" }] },
  });
  const rows: { name: string; probe: Probe; want: string; timeoutMs?: number }[] = [
    { name: "200 is success", probe: get("/ok"), want: "" },
    { name: "a named port goes through the map", probe: get("/ok", "user-port"), want: "" },
    { name: "503 is not", probe: get("/other"), want: "HTTP probe failed with statuscode: 503" },
    { name: "a redirect is followed", probe: get("/moved"), want: "" },
    { name: "to its end", probe: get("/bad-move"), want: "HTTP probe failed with statuscode: 503" },
    { name: "silence ends at the timeout", probe: get("/slow"), want: "no answer within 50 ms", timeoutMs: 50 },
    { name: "an unknown port name fails", probe: get("/", "nope"), want: 'couldn\'t find port: "nope"' },
    { name: "tcp connects", probe: { tcpSocket: { port: webPort! } }, want: "" },
    {
      name: "tcp is refused",
      probe: { tcpSocket: { port: closedPort! } },
      want: `connect ECONNREFUSED 127.0.0.1:${closedPort}`,
    },
    { name: "exec succeeds", probe: { exec: { command: ["true"] } }, want: "" },
    { name: "exec fails with its output", probe: { exec: { command: ["false"] } }, want: "nothing there" },
    { name: "grpc serves", probe: { grpc: { port: healthPort! } }, want: "" },
    {
      name: "grpc does not serve",
      probe: { grpc: { port: healthPort!, service: "down" } },
      want: 'service unhealthy (responded with "NOT_SERVING")',
    },
    {
      name: "grpc does not know the service",
      probe: { grpc: { port: healthPort!, service: "none" } },
      want: "error: health rpc probe failed: grpc-status 5",
    },
    {
      name: "grpc is refused",
      probe: { grpc: { port: closedPort! } },
      want: `connect ECONNREFUSED 127.0.0.1:${closedPort}`,
    },
  ];
  for (const { name, probe, want, timeoutMs = 5000 } of rows) {
    const result = await runProbe(probe, target([[8080, webPort!]]), timeoutMs);
    t.same(result, { success: want === "", message: want }, name);
  }
});

test("a port of the pod is on its address, a mapped one on the host", (t) => {
  const own = { ...target([[8080, 12_000]]), podIP: "127.93.0.7" };
  t.same(address(undefined, 8012, own), { host: "127.93.0.7", port: 8012 });
  t.same(address("", "user-port", own), { host: "127.0.0.1", port: 12_000 });
  t.same(address("10.0.0.1", 8080, own), { host: "10.0.0.1", port: 8080 });
  t.end();
});
