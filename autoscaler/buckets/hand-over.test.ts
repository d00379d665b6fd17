import { randomBytes } from "node:crypto";
import { test } from "tap";
import type { DeciderMemory } from "../decider.ts";
import { packHandOver, unpackHandOver, type RevisionMemory } from "./hand-over.ts";
import { t0 } from "./scene.ts";

const bucket = "autoscaler-bucket-01-of-04";
const decider = (desiredPods: number): DeciderMemory => ({
  desiredPods,
  excessBurstCapacity: 3,
  state: { mode: { is: "panic", sinceMs: -Infinity, peakPods: desiredPods }, delay: [{ slot: 1, pods: 2 }] },
  hold: undefined,
});
const revision = (key: string, desiredPods: number, pods = desiredPods): RevisionMemory => ({
  key,
  decider: decider(desiredPods),
  load: {
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    second: t0 / 1000,
    open: 0.5,
    seen: true,
    arrivals: { current: 1, before: 2, seen: true, seenBefore: true },
    concurrency: { second: t0 / 1000 - 60, values: Array.from({ length: 60 }, () => Math.random() * 100) },
    requests: { second: t0 / 1000 - 60, values: Array.from({ length: 60 }, () => Math.random() * 100) },
    sources: Array.from({ length: pods }, (_, index) => ({
      id: `app-${randomBytes(5).toString("hex")}-${index}`,
      kind: "pod" as const,
      epoch: t0 + Math.random() * 1e6,
      rate: index,
      atMs: t0 + Math.random() * 1000,
      seenMs: t0,
      offsetMs: t0 - Math.random() * 1e6,
      load: {
        clockMs: Math.random() * 1e6,
        requestSeconds: Math.random() * 1e6,
        proxiedRequestSeconds: 0,
        arrivals: 12_345,
        proxiedArrivals: 0,
        inFlight: index,
        proxiedInFlight: 0,
      },
    })),
  },
});
const handOver = (revisions: RevisionMemory[]) => ({ bucket, transitions: 7, atMs: t0, revisions });

test("a hand-over comes out as it went in, numbers beyond JSON's too", (t) => {
  const { packed, dropped } = packHandOver(handOver([revision("default/a-00001", 3)]));
  t.equal(dropped, 0);
  const back = unpackHandOver(packed, { bucket, transitions: 8 }, t0)!;
  t.match(back.revisions[0]?.decider, { state: { mode: { sinceMs: -Infinity } } });
  t.equal(back.revisions[0]?.load?.sources.length, 3);
  t.end();
});

test("revisions that rest at zero take no room", (t) => {
  const idle: RevisionMemory = {
    key: "default/idle-00001",
    decider: { desiredPods: 0, excessBurstCapacity: -1, state: { mode: { is: "stable" }, delay: [] }, hold: undefined },
  };
  const { packed, dropped } = packHandOver(handOver(Array.from({ length: 10_000 }, () => idle)));
  t.equal(dropped, 0);
  t.ok(packed.length < 200);
  t.end();
});

test("too much is cut, and the revisions with the most pods stay", (t) => {
  const revisions = Array.from({ length: 40 }, (_, index) => revision(`default/app-${index}`, index + 1, 20));
  const { packed, dropped } = packHandOver(handOver(revisions), 30_000);
  t.ok(packed.length <= 30_000);
  t.ok(dropped > 0 && dropped < 40, `${dropped} dropped`);
  const kept = unpackHandOver(packed, { bucket, transitions: 8 }, t0)!.revisions.map(({ key }) => key);
  t.equal(kept[0], "default/app-39");
  t.equal(kept.length, 40 - dropped);
  t.comment(`whole: ${packHandOver(handOver(revisions)).packed.length} bytes for 40 revisions with 20 pods each`);
  t.end();
});
