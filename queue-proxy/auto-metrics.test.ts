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
