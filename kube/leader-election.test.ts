import { test, type Test } from "tap";
import { leases, type Lease } from "../api/core.ts";
import { silentLogger } from "../process/logger.ts";
import { FakeApiServer } from "./fake-api-server.ts";
import { httpsClient } from "./https-client.ts";
import { createInformer } from "./informer.ts";
import { lead, type LeaderElectionOptions } from "./leader-election.ts";

const path = "/apis/coordination.k8s.io/v1/leases";
const hour = 3_600_000;
const settings = { leaseDurationMs: hour, renewDeadlineMs: hour / 2, retryPeriodMs: hour / 4 };

async function setUp(t: Test) {
  const server = new FakeApiServer();
  await server.start();
  const client = httpsClient({ server: server.url, userAgent: "test" });
  const stops: AbortController[] = [];
  const ends: Promise<void>[] = [];
  const candidate = (identity: string, timing = settings, more: Partial<LeaderElectionOptions> = {}) => {
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
        ...more,
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

/** Deaths that the test tells of. */
function deaths() {
  const dead = new Set<string>();
  const listeners = new Set<() => void>();
  return {
    isDead: (holder: string) => dead.has(holder),
    onDeath(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    die(holder: string) {
      dead.add(holder);
      for (const listener of listeners) listener();
    },
    get watched() {
      return listeners.size > 0;
    },
  };
}

async function informed(t: Test) {
  const world = await setUp(t);
  const stop = new AbortController();
  const informer = createInformer<Lease>({
    client: world.client,
    resource: leases,
    namespace: "ns",
    log: silentLogger,
  });
  const running = informer.run(stop.signal);
  t.teardown(async () => {
    stop.abort();
    await running;
  });
  await informer.synced();
  /** Resolves when the copy has a lease for which it holds. */
  const until = async (holds: (lease: Lease) => boolean): Promise<void> => {
    const held = Promise.withResolvers<void>();
    const end = informer.onChange(({ object }) => {
      if (holds(object)) held.resolve();
    });
    await held.promise;
    end();
  };
  return { ...world, informer, until };
}

test("whose process is known to be dead is replaced at once, by a candidate that watches", async (t) => {
  const { candidate, informer, until, held, pod } = await informed(t);
  pod("a");
  pod("b");
  await candidate("a_1").leading;
  await until(({ spec }) => spec?.holderIdentity === "a_1");
  const known = deaths();
  const b = candidate("b_1", settings, { leases: informer, deaths: known });
  while (!known.watched) await new Promise((resolve) => setImmediate(resolve));
  t.equal(held()?.holderIdentity, "a_1");
  known.die("a_1");
  await b.leading;
  t.match(held(), { holderIdentity: "b_1", leaseTransitions: 1 });
});

test("a lease that was given back goes to the candidate without a handicap, whoever hears of it first", async (t) => {
  const { candidate, informer, until, held, pod } = await informed(t);
  for (const name of ["a", "b", "c"]) pod(name);
  const a = candidate("a_1");
  await a.leading;
  await until(({ spec }) => spec?.holderIdentity === "a_1");
  let asked = 0;
  const handicapped = { leases: informer, handicapMs: () => (asked += 1) * hour };
  const b = candidate("b_1", settings, handicapped);
  const c = candidate("c_1", settings, { leases: informer });
  a.stop.abort();
  await c.leading;
  t.equal(held()?.holderIdentity, "c_1");
  b.stop.abort();
  await b.ended;
});

test("each taking of a lease is a new term, also by who held it last", async (t) => {
  const { candidate, held, pod } = await setUp(t);
  pod("a");
  const first = candidate("a_10.0.0.1");
  await first.leading;
  t.equal(held()?.leaseTransitions, 0);
  // It is killed and comes again under the same name, which is made of pod and address.
  const again = candidate("a_10.0.0.1");
  await again.leading;
  t.equal(held()?.leaseTransitions, 1);
});

test("who is stopped is told so, and who has lost is told that", async (t) => {
  const { server, candidate, pod } = await setUp(t);
  pod("other");
  const stopped = candidate("me_1");
  const one = await stopped.leading;
  stopped.stop.abort();
  await stopped.ended;
  t.equal(one.reason, "released");
  const me = candidate("me_2", { ...settings, retryPeriodMs: 20 });
  const two = await me.leading;
  const lost = new Promise<void>((resolve) => two.addEventListener("abort", () => resolve()));
  server.put(path, {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: "l", namespace: "ns" },
    spec: { holderIdentity: "other_1", leaseDurationSeconds: 3600, renewTime: "2030-01-01T00:00:00.000000Z" },
  } as Lease);
  await lost;
  t.equal(two.reason, "lost");
});
