import { test } from "tap";
import { encodeStat } from "./auto-metrics.ts";
import { get, raw, startApp, startSidecar } from "./fixture.ts";

const none = { concurrency: 0, proxiedConcurrency: 0, requestsPerSecond: 0, proxiedRequestsPerSecond: 0 };

test("a Stat on the wire", (t) => {
  t.equal(encodeStat("p", undefined, 7).toString("hex"), "0a0170", "before the first period only the name");
  const averages = { ...none, concurrency: 1, requestsPerSecond: 1 };
  t.equal(encodeStat("act-1", averages, 0).toString("hex"), "0a056163742d3111000000000000f03f21000000000000f03f");
  const full = { concurrency: 1.5, proxiedConcurrency: 1.5, requestsPerSecond: 1.5, proxiedRequestsPerSecond: 1.5 };
  t.ok(encodeStat("p".repeat(253), full, 1.5).length <= 336, "fits what a scraper reads");
  t.end();
});

test("port 9090 answers with it, whatever is accepted", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const { autoMetricsPort } = await startSidecar(t, { userPort });
  t.match(
    await raw(autoMetricsPort, get("/metrics", "Accept: text/plain\r\n")),
    /^HTTP\/1\.1 200 OK\r\nContent-Type: application\/protobuf\r\n[^]*\r\n\r\n\n.hello-00001-pod/,
  );
  t.match(await raw(autoMetricsPort, get("/")), /^HTTP\/1\.1 404 /);
});

test("port 9091 counts requests by Knative's names, probes not", async (t) => {
  const userPort = await startApp(t, (incoming, outgoing) => {
    outgoing.statusCode = incoming.url === "/missing" ? 404 : 200;
    outgoing.end("12345");
  });
  const anyPort = { host: "127.0.0.1", port: 0, reusePort: false, optional: false };
  const { port, userMetricsPort } = await startSidecar(t, { userPort, userMetrics: anyPort, containerConcurrency: 5 });
  await raw(port, get("/"));
  await raw(port, get("/missing", "Knative-Serving-Tag: blue\r\n"));
  await raw(port, get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n"));
  const text = await raw(userMetricsPort!, get("/metrics"));
  for (const want of [
    /\nkn_serving_queue_depth\{[^}]*\} 1\n/,
    /\nkn_serving_invocation_duration_seconds_count\{http_response_status_code="200",[^}]*\} 1\n/,
    /\nhttp_server_request_duration_seconds_count\{http_request_method="GET",http_response_status_code="404",kn_route_tag="blue",network_protocol_name="http",network_protocol_version="1\.1",server_address="app\.example",url_scheme="http",[^}]*\} 1\n/,
    /\nhttp_server_response_body_size_bytes_bucket\{[^}]*status_code="200"[^}]*le="5"\} 1\n/,
    /\ntarget_info\{container_name="queue-proxy",k8s_namespace_name="default",[^}]*kn_revision_name="hello-00001"[^}]*\} 1\n/,
  ])
    t.match(text, want);
  t.equal(text.match(/http_server_request_duration_seconds_count/g)?.length, 2);
});
