import { test, type Test } from "tap";
import { leases, type Lease } from "../api/core.ts";
import { silentLogger } from "../process/logger.ts";
import { FakeApiServer } from "./fake-api-server.ts";
import { httpsClient } from "./https-client.ts";
import { lead } from "./leader-election.ts";

const path = "/apis/coordination.k8s.io/v1/leases";
const hour = 3_600_000;
const settings = { leaseDurationMs: hour, renewDeadlineMs: hour / 2, retryPeriodMs: hour / 4 };

async function setUp(t: Test) {
  const server = new FakeApiServer();
  await server.start();
  const client = httpsClient({ server: server.url, userAgent: "test" });
  const stops: AbortController[] = [];
  const ends: Promise<void>[] = [];
  const candidate = (identity: string, timing = settings) => {
    const stop = new AbortController();
    const leading = Promise.withResolvers<AbortSignal>();
    const ended = lead(
      {
        client,
        lease: "l",
        namespace: "ns",
        identity,
        settings: timing,
        log: silentLogger,
        onLead: (signal) => leading.resolve(signal),
      },
      stop.signal,
    );
    stops.push(stop);
    ends.push(ended);
    return { stop, ended, leading: leading.promise };
  };
  t.teardown(async () => {
    for (const stop of stops) stop.abort();
    await Promise.all(ends);
    await client.close();
    await server.stop();
  });
  const held = (): Lease["spec"] => {
    const lease: Lease | undefined = server.read(path, "ns/l");
    return lease?.spec;
  };
  const pod = (name: string) =>
    server.put("/api/v1/pods", { apiVersion: "v1", kind: "Pod", metadata: { name, namespace: "ns" } });
  return { server, client, candidate, held, pod };
}

test("a free lease is taken, and released at stop so that another candidate leads at once", async (t) => {
  const { server, candidate, held, pod } = await setUp(t);
  pod("a");
  pod("b");
  const a = candidate("a_1");
  const signal = await a.leading;
  t.match(held(), { holderIdentity: "a_1", leaseTransitions: 0, leaseDurationSeconds: 3600 });
  t.match(held()?.renewTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  const b = candidate("b_1");
  await server.until(() => server.watches === 1);
  a.stop.abort();
  await a.ended;
  t.equal(signal.aborted, true);
  await b.leading;
  t.match(held(), { holderIdentity: "b_1", leaseTransitions: 1 });
});

const takeovers: { name: string; holder: string; pods: string[]; taken: boolean }[] = [
  { name: "a former life of the same pod", holder: "me_old", pods: ["me"], taken: true },
  { name: "a pod that is gone", holder: "other_1", pods: ["me"], taken: true },
];
for (const { name, holder, pods } of takeovers)
  test(`the lease of ${name} is taken at once`, async (t) => {
    const { server, candidate, held, pod } = await setUp(t);
    for (const each of pods) pod(each);
    server.put(path, {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "l", namespace: "ns" },
      spec: { holderIdentity: holder, leaseDurationSeconds: 3600, renewTime: "2030-01-01T00:00:00.000000Z" },
    } as Lease);
    await candidate("me_new").leading;
    t.equal(held()?.holderIdentity, "me_new");
  });

test("the lease of a live pod is left alone until it expires", async (t) => {
  const { server, client, candidate, held, pod } = await setUp(t);
  pod("other");
  await client.create<Lease>(leases, {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", namespace: "ns" },
    spec: { holderIdentity: "other_1", leaseDurationSeconds: 1, renewTime: "2030-01-01T00:00:00.000000Z" },
  });
  const me = candidate("me_1", { ...settings, retryPeriodMs: 100 });
  await server.until(() => server.watches === 1);
  t.equal(held()?.holderIdentity, "other_1");
  await me.leading;
  t.equal(held()?.holderIdentity, "me_1");
});

test("a leader whose lease was taken hears of it", async (t) => {
  const { server, candidate, pod } = await setUp(t);
  pod("other");
  const me = candidate("me_1", { ...settings, retryPeriodMs: 20 });
  const signal = await me.leading;
  const lost = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  server.put(path, {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", namespace: "ns" },
    spec: { holderIdentity: "other_1", leaseDurationSeconds: 3600, renewTime: "2030-01-01T00:00:00.000000Z" },
  } as Lease);
  await lost;
  t.pass("its signal aborted");
});

test("a leader that cannot renew in time steps down", async (t) => {
  const { server, candidate } = await setUp(t);
  const me = candidate("me_1", { leaseDurationMs: 1000, renewDeadlineMs: 100, retryPeriodMs: 20 });
  const signal = await me.leading;
  const lost = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  server.intercept = (_, response) => {
    response.writeHead(503).end();
    return true;
  };
  await lost;
  server.intercept = undefined;
  t.pass("its signal aborted");
});
