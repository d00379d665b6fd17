/** What a source may not say: refused, counted by reason, and without any part in a decision. */
import { test } from "tap";
import { revisionScaling } from "../api/autoscaling-annotations.ts";
import { parseAutoscalerConfig } from "../api/autoscaling-config.ts";
import { silentLogger } from "../process/logger.ts";
import { PodReport, PodState, type Load, type PodHello } from "../proto/gen/stats.ts";
import { MultiScaler } from "./multi-scaler.ts";
import { RevisionStats, type PodFeed } from "./revision-stats.ts";
import { data, frame, headers, plainSettings, RawSidecar } from "./sidecar-grpc/fixture.ts";
import { frameType, preface } from "./sidecar-grpc/plain-connection.ts";
import { statsToken } from "./stats-credentials.ts";
import { createStatsServer } from "./stats-server.ts";

const key = "default/hello-00001";
const t0 = 1_700_000_000_000;
const settings = { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" as const };

const load = (fields: Partial<Load> = {}): Load => ({
  clockMs: 0,
  requestSeconds: 0,
  proxiedRequestSeconds: 0,
  arrivals: 0,
  proxiedArrivals: 0,
  inFlight: 0,
  proxiedInFlight: 0,
  ...fields,
});

/** Twenty seconds of a revision with one honest pod; after ten of them another one says something. */
function run(said: readonly Partial<Load>[]): {
  decisions: number[];
  averages: unknown[];
  counts: Record<string, number>;
} {
  let nowMs = t0;
  const timers = new Set<{ atMs: number; call: () => void }>();
  const stats: RevisionStats = new RevisionStats({
    settings,
    events: { onLoad: (of) => scaler.onLoad(of), onPods: (of) => scaler.onPods(of) },
    nowMs: () => nowMs,
  });
  const decisions: number[] = [];
  const scaler = new MultiScaler({
    stats,
    readyPods: (of) => stats.pods(of).filter(({ state }) => state === PodState.READY).length,
    onDecision: () => undefined,
    nowMs: () => nowMs,
    after(ms, call) {
      const timer = { atMs: nowMs + ms, call };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    log: silentLogger,
  });
  scaler.ensure(key, {
    scaling: revisionScaling({ "autoscaling.knative.dev/target": "10" }, parseAutoscalerConfig({}), 0),
    reachable: true,
    replicas: 2,
    foundRunning: false,
    eventEvaluations: true,
  });
  const open = (name: string): PodFeed => stats.openPod(key, { name, ip: "10.0.0.1", port: 8012, epoch: 1 });
  const honest = open("honest");
  const other = open("other");
  other.report(PodState.READY, undefined);
  const averages: unknown[] = [];
  for (let second = 0; second < 20; second++) {
    const inFlight = 5 + (second % 3);
    const requestSeconds = second * 6;
    honest.report(PodState.READY, load({ clockMs: second * 1000, requestSeconds, arrivals: 100 + second, inFlight }));
    if (second === 10) for (const each of said) other.report(PodState.READY, load(each));
    const endMs = nowMs + 1000;
    for (;;) {
      const next = [...timers].filter(({ atMs }) => atMs <= endMs).toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      timers.delete(next);
      nowMs = Math.max(nowMs, next.atMs);
      next.call();
    }
    nowMs = endMs;
    decisions.push(scaler.get(key)!.desiredPods);
    averages.push(stats.collection(key)!.averages("concurrency", nowMs), stats.collection(key)!.averages("rps", nowMs));
  }
  return { decisions, averages, counts: { ...stats.counts } };
}

/** What is said; what of it is honest, first; the reason for which the rest is refused. */
const rows: [string, Partial<Load>[], Partial<Load>[], string][] = [
  ["a clock that is not a number", [], [{ clockMs: Number.NaN, inFlight: 900 }], "malformed"],
  ["a clock that is negative", [], [{ clockMs: -1, inFlight: 900 }], "malformed"],
  ["a clock that is infinite", [], [{ clockMs: Infinity, inFlight: 900 }], "malformed"],
  ["load that is not a number", [{}], [{ clockMs: 1, requestSeconds: Number.NaN, inFlight: 9 }], "malformed"],
  ["load that is negative", [{}], [{ clockMs: 1, requestSeconds: -5, inFlight: 9 }], "malformed"],
  ["load that is infinite", [{}], [{ clockMs: 1, requestSeconds: Infinity, inFlight: 9 }], "malformed"],
  ["arrivals that are not a number", [{}], [{ clockMs: 1, arrivals: Number.NaN }], "malformed"],
  ["arrivals beyond all counting", [{}], [{ clockMs: 1, arrivals: 1e300 }], "malformed"],
  ["requests in flight that are negative", [], [{ inFlight: -3 }], "malformed"],
  ["requests in flight that are not a number", [], [{ inFlight: Number.NaN }], "malformed"],
  ["requests through activators that are negative", [], [{ inFlight: 3, proxiedInFlight: -900 }], "malformed"],
  ["more in flight through activators than there are", [{}], [{ clockMs: 1, proxiedInFlight: 5 }], "malformed"],
  ["more arrived through activators than arrived", [{}], [{ clockMs: 1, proxiedArrivals: 5 }], "malformed"],
  ["four billion requests at once", [], [{ inFlight: 4_294_967_295, arrivals: 1 }], "implausible"],
  ["four billion requests later", [{}], [{ clockMs: 1, inFlight: 4_294_967_295 }], "implausible"],
  ["more load than there was time for it", [{}], [{ clockMs: 1, requestSeconds: 1e9, inFlight: 1 }], "implausible"],
  ["a time that has not come", [{}], [{ clockMs: 3_600_000, requestSeconds: 3e6, inFlight: 9 }], "future"],
  [
    "such a time again",
    [{}],
    [
      { clockMs: 7e6, inFlight: 9 },
      { clockMs: 8e6, inFlight: 9 },
    ],
    "future",
  ],
  ["a time that is over", [{ clockMs: 5000 }], [{ clockMs: 4000, inFlight: 900 }], "stale"],
  ["what was said already", [{ clockMs: 5000 }], [{ clockMs: 5000 }], "stale"],
];

test("what a pod may not say is refused, counted and moves no decision", (t) => {
  for (const [name, honest, hostile, reason] of rows) {
    const heard = run([...honest, ...hostile]);
    const without = run(honest);
    t.equal(heard.counts[reason], hostile.length, `${name}: ${reason}`);
    t.same(heard.decisions, without.decisions, `${name}: the same decisions`);
    t.same(heard.averages, without.averages, `${name}: the same averages`);
  }
  const most = (said: Partial<Load>[]): number => Math.max(...run(said).decisions);
  t.ok(most([{ inFlight: 30, arrivals: 30 }]) > most([]), "what it may say does move one");
  t.end();
});

const signingKey = Buffer.alloc(32, 7);
const path = "/swell.stats.v1.Stats/Pod";
const hello: PodHello = {
  namespace: "default",
  revision: "hello-00001",
  pod: "pod-9",
  token: statsToken(signingKey, `pod/${key}`),
  servingPort: 8012,
  epoch: 1,
};
const helloOf = (fields: Partial<PodHello>): Buffer =>
  Buffer.from(PodReport.encode({ body: { $case: "hello", value: { ...hello, ...fields } } }).finish());
const loadOf = (fields: Partial<Load>): Buffer =>
  Buffer.from(
    PodReport.encode({
      body: { $case: "load", value: { sequence: 1, state: PodState.READY, load: load(fields) } },
    }).finish(),
  );
const signed = (namespace: string, revision: string): string => statsToken(signingKey, `pod/${namespace}/${revision}`);

const intruders: [string, "token" | "malformed" | "limit", Buffer[]][] = [
  ["speaks for another revision", "token", [data(1, helloOf({ token: signed("default", "other-00001") }))]],
  ["has a token of the same name elsewhere", "token", [data(1, helloOf({ token: signed("else", "hello-00001") }))]],
  ["has an activator's token", "token", [data(1, helloOf({ token: statsToken(signingKey, "activator") }))]],
  ["has no token", "token", [data(1, helloOf({ token: "" }))]],
  [
    "moves the slash of a token that it has",
    "malformed",
    [data(1, helloOf({ namespace: "default/hello", revision: "x", token: signed("default", "hello/x") }))],
  ],
  ["has no name", "malformed", [data(1, helloOf({ pod: "" }))]],
  ["has a name without end", "malformed", [data(1, helloOf({ pod: "p".repeat(254) }))]],
  ["has an impossible port", "malformed", [data(1, helloOf({ servingPort: 70_000 }))]],
  ["does not say who it is", "malformed", [data(1, loadOf({ inFlight: 900 }))]],
  ["says who it is twice", "malformed", [data(1, helloOf({})), data(1, helloOf({}))]],
  ["sends what is no report", "malformed", [data(1, helloOf({})), data(1, Buffer.from([0xff, 0xff, 0xff]))]],
  [
    "sends a number of too many digits",
    "malformed",
    [data(1, helloOf({})), data(1, Buffer.from("120b08ffffffffffffffffff01", "hex"))],
  ],
  ["sends a message that is too long", "malformed", [frame(frameType.data, 0, 1, Buffer.from([0, 0, 1, 0, 0]))]],
  ["is one pod too many", "limit", [data(1, helloOf({}))]],
];

test("who is not who it says, or says what is nothing, is put out and counted", async (t) => {
  for (const [name, reason, messages] of intruders) {
    const stats = new RevisionStats({
      settings,
      events: { onLoad: () => undefined, onPods: () => undefined },
      nowMs: Date.now,
    });
    const server = createStatsServer({
      stats,
      key: () => signingKey,
      leading: () => true,
      log: silentLogger,
      limits: { podsPerRevision: reason === "limit" ? 1 : 10 },
    });
    const port = await server.listen("127.0.0.1", 0);
    const honest = stats.openPod(key, { name: "honest", ip: "10.0.0.1", port: 8012, epoch: 1 });
    honest.report(PodState.READY, load({ inFlight: 3, arrivals: 3 }));
    const intruder = new RawSidecar(port);
    intruder.write(preface, plainSettings(), headers(1, path), ...messages);
    intruder.write(data(1, loadOf({ clockMs: 1, inFlight: 900, arrivals: 900 })));
    await intruder.until(() => intruder.ended);
    t.equal(server.refused[reason], 1, `one that ${name}: ${reason}`);
    t.equal(
      Object.values(server.refused).reduce((sum, count) => sum + count),
      1,
    );
    t.equal(stats.collection(key)?.inFlight, 3, `one that ${name} adds no load`);
    t.same(
      stats.pods(key).map(({ pod }) => pod),
      ["honest"],
      `one that ${name} is no pod`,
    );
    await server.close();
  }
});
