import { test } from "tap";
import { closedPort, get, raw, startApp, startSidecar, unobserved } from "./fixture.ts";
import { decodedMetrics, startCollector } from "./otlp-fixture.ts";

test("request metrics are pushed while it serves and once more at the end", async (t) => {
  const first = Promise.withResolvers<void>();
  const { port: collectorPort, requests } = await startCollector(t, () => first.resolve());
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("12345"));
  const metricsExport = {
    protocol: "http/protobuf" as const,
    endpoint: `127.0.0.1:${collectorPort}`,
    intervalMs: 10,
    serviceName: "hello",
  };
  const observability = { ...unobserved, metricsExport };
  const sidecar = await startSidecar(t, { userPort, containerConcurrency: 1, service: "hello", observability });
  await raw(sidecar.port, get("/a", "Knative-Serving-Tag: blue\r\n"));
  await first.promise;
  await raw(sidecar.port, get("/a"));
  sidecar.stop();
  await sidecar.finished;

  const { url, type, body } = requests.at(-1)!;
  t.strictSame([url, type], ["/v1/metrics", "application/x-protobuf"]);
  const { resource, metrics } = decodedMetrics(body);
  t.match(resource, {
    "service.name": "hello",
    "container.name": "queue-proxy",
    "kn.revision.name": "hello-00001",
    "k8s.pod.name": "hello-00001-pod",
  });
  t.strictSame(
    [...metrics].map(([name, { unit, temporality }]) => [name, unit, temporality]),
    [
      ["kn.serving.queue.depth", "{item}", undefined],
      ["kn.serving.invocation.duration", "s", 2],
      ["http.server.request.duration", "s", 2],
      ["http.server.request.body.size", "By", 2],
      ["http.server.response.body.size", "By", 2],
      ["http.client.request.duration", "s", 2],
      ["http.client.request.body.size", "By", 2],
    ],
  );
  const server = metrics.get("http.server.response.body.size")!;
  t.strictSame(
    server.points.map(({ attributes, value }) => [attributes["kn.route.tag"], value]),
    [
      ["blue", 5],
      ["kn:disabled", 5],
    ],
    "one series per tag, with the sum of bytes",
  );
  t.match(server.points[0]!.attributes, {
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "server.address": "app.example",
    "url.scheme": "http",
  });
  t.equal(server.points[0]!.counts.length, server.points[0]!.bounds.length + 1);
  const [startedNs, nowNs] = server.points[0]!.times;
  t.ok(startedNs! < nowNs! && Math.abs(Number(nowNs! / 1_000_000n) - Date.now()) < 60_000, "since the epoch");
  t.strictSame(metrics.get("kn.serving.invocation.duration")!.points[0]!.attributes, {
    "http.response.status_code": 200,
  });
  t.equal(metrics.get("kn.serving.queue.depth")!.points[0]!.value, 0);
  t.equal(sidecar.userMetricsPort, undefined, "nothing is there for Prometheus");
});

test("a metrics collector that is not there harms nobody", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const endpoint = `http://127.0.0.1:${await closedPort()}`;
  const metricsExport = { protocol: "http/protobuf" as const, endpoint, intervalMs: 60_000, serviceName: "hello" };
  const sidecar = await startSidecar(t, { userPort, observability: { ...unobserved, metricsExport } });
  t.match(await raw(sidecar.port, get("/")), /ok$/);
  sidecar.stop();
  await sidecar.finished;
  t.ok(sidecar.lines.some((line) => line.includes("did not take the metrics")));
});
