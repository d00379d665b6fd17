/** Handing over from one autoscaler to the next, compared with one that was never stopped. */
import { test, type Test } from "tap";
import type { Lease } from "../../api/core.ts";
import { silentLogger } from "../../process/logger.ts";
import { done, startReconciler } from "../../kube/reconciler.ts";
import { Buckets } from "./bucket.ts";
import { unpackHandOver } from "./hand-over.ts";
import type { HandOverStore } from "./hand-over-store.ts";
import { Autoscaler, Clock, Source, key, t0, type SceneRevision } from "./scene.ts";
import { Terms } from "./terms.ts";

const bucket = "autoscaler-bucket-00-of-01";

class MemoryStore implements HandOverStore {
  packed: Buffer | undefined;
  removals = 0;
  read = async (): Promise<Buffer | undefined> => this.packed;
  write = async (_bucket: string, packed: Buffer): Promise<void> => void (this.packed = packed);
  remove = async (): Promise<void> => {
    this.removals += 1;
    this.packed = undefined;
  };
}

/** One autoscaler's process, with the terms it serves. */
class Process {
  readonly autoscaler: Autoscaler;
  readonly terms: Terms;
  readonly ended: string[] = [];
  owner: string | undefined;
  #started = Promise.withResolvers<void>();
  #over = new AbortController();
  #serving: Promise<void> | undefined;

  constructor(clock: Clock, store: HandOverStore, revision: SceneRevision, ip = "10.1.0.1") {
    const autoscaler = new Autoscaler(clock);
    this.autoscaler = autoscaler;
    this.terms = new Terms({
      buckets: new Buckets(1),
      stats: autoscaler.stats,
      store,
      ownerOf: () => this.owner,
      ip,
      keys: () => [key],
      start: ({ remembered }) => {
        const multiScaler = autoscaler.start(remembered);
        const reconciler = startReconciler({
          name: "test",
          log: silentLogger,
          reconcile: async () => done,
        });
        autoscaler.ensure(revision);
        this.#started.resolve();
        return { multiScaler, reconciler };
      },
      endPods: () => this.ended.push("pods"),
      nowMs: () => clock.nowMs,
      after: (ms, call) => clock.after(ms, call),
      log: silentLogger,
    });
  }

  /** Takes the lease for the `transitions`th time. */
  async lead(transitions: number): Promise<void> {
    this.#over = new AbortController();
    this.#started = Promise.withResolvers();
    const term: Lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: bucket },
      spec: { leaseTransitions: transitions },
    };
    this.#serving = this.terms.serve(bucket, this.#over.signal, term);
    await this.#started.promise;
  }

  async end(reason: "released" | "lost"): Promise<void> {
    this.#over.abort(reason);
    await this.#serving;
  }
}

/** Load for a minute and a half, so that the windows are full and differ from second to second. */
function load(clock: Clock, pods: readonly Source[], seconds = 90): void {
  for (let second = 0; second < seconds; second++) {
    for (const [index, pod] of pods.entries()) pod.set(3 + ((second * 7 + index * 3) % 11));
    clock.pass(1000);
  }
}

const averages = ({ stats }: Autoscaler, clock: Clock) => stats.collection(key)!.averages("concurrency", clock.nowMs);

async function handedOver(t: Test, revision: SceneRevision, gapMs: number) {
  const clock = new Clock();
  const control = new Autoscaler(clock);
  control.start();
  control.ensure(revision);
  const store = new MemoryStore();
  const [a, b] = [new Process(clock, store, revision), new Process(clock, store, revision, "10.1.0.2")];
  await a.lead(0);
  const pods = ["pod-0", "pod-1", "pod-2"].map((name) => ({
    moving: new Source(clock, "pod", name),
    staying: new Source(clock, "pod", name),
  }));
  for (const each of [a.autoscaler, b.autoscaler, control]) each.readyPods = pods.length;
  for (const { moving, staying } of pods) {
    moving.connect(a.autoscaler);
    staying.connect(control);
  }
  for (let second = 0; second < 90; second++) {
    for (const [index, { moving, staying }] of pods.entries())
      for (const source of [moving, staying]) source.set(3 + ((second * 7 + index * 3) % 11));
    clock.pass(1000);
  }
  // Within a second, whose beginning is not in the windows yet.
  for (const [index, { moving, staying }] of pods.entries())
    for (const source of [moving, staying]) source.set(20 + index);
  clock.pass(370);
  for (const { moving, staying } of pods) for (const source of [moving, staying]) source.set(2);
  clock.pass(140);
  t.equal(a.autoscaler.desired, control.desired);

  await a.end("released");
  for (const { moving } of pods) moving.disconnect();
  clock.pass(gapMs);
  await b.lead(1);
  return { clock, control, store, a, b, pods };
}

test("windows, panic and decision survive an orderly change of owner", async (t) => {
  const revision = { replicas: 3, annotations: { "scale-down-delay": "30s" } };
  const { clock, control, store, a, b, pods } = await handedOver(t, revision, 300);
  t.same(a.ended, ["pods"], "pods are sent away when all is written");
  t.equal(store.packed, undefined, "what was left is used once");
  t.equal(b.autoscaler.desired, control.desired, "the decision is there before any pod has come");
  t.match(averages(b.autoscaler, clock), { hasData: true });
  t.same(averages(b.autoscaler, clock), averages(control, clock), "silent pods go on as they were last seen");

  // They come one by one, and the load has changed on the way.
  for (const { moving, staying } of pods) {
    for (const source of [moving, staying]) source.set(9);
    moving.connect(b.autoscaler);
    clock.pass(150);
  }
  for (let second = 0; second < 70; second++) {
    clock.pass(1000);
    for (const { moving, staying } of pods) for (const source of [moving, staying]) source.set(9);
    const [ours, theirs] = [averages(b.autoscaler, clock), averages(control, clock)];
    if (Math.abs(ours.stable - theirs.stable) > 1e-6 || b.autoscaler.desired !== control.desired)
      t.fail(`second ${second}: ${ours.stable} and ${theirs.stable}, ${b.autoscaler.desired} and ${control.desired}`);
  }
  await b.end("released");
});

test("a pod that does not come to the new owner counts for five seconds and no longer", async (t) => {
  const { clock, b, pods } = await handedOver(t, { replicas: 3 }, 100);
  const [first, second] = pods.map(({ moving }) => moving);
  for (const pod of [first!, second!]) {
    pod.set(5);
    pod.connect(b.autoscaler);
  }
  const inFlight = () => b.autoscaler.stats.collection(key)!.inFlight;
  clock.pass(4000);
  const before = inFlight();
  t.ok(before > 10, `${before}: the third is taken to go on`);
  clock.pass(1000);
  t.equal(inFlight(), 10);
  await b.end("released");
});

test("a second owner that dies leaves nothing that its successor would take for the present", async (t) => {
  const { clock, store, b } = await handedOver(t, { replicas: 3, foundRunning: true }, 100);
  const left = store.packed;
  t.equal(left, undefined);
  await b.end("released");
  const packed = store.packed!;
  for (const [transitions, used] of [
    [1, false],
    [2, true],
    [3, false],
  ] as const)
    t.equal(unpackHandOver(packed, { bucket, transitions }, clock.nowMs) !== undefined, used, `${transitions}`);
  t.equal(unpackHandOver(packed, { bucket: "autoscaler-bucket-00-of-02", transitions: 2 }, clock.nowMs), undefined);
  t.equal(unpackHandOver(packed, { bucket, transitions: 2 }, t0), undefined, "nor one from a clock that runs ahead");
  // A third owner that missed a term knows nothing, and keeps what runs.
  const c = new Process(clock, store, { replicas: 3, foundRunning: true }, "10.1.0.3");
  await c.lead(3);
  t.equal(c.autoscaler.desired, -1);
  await c.end("released");
});

test("an object that cannot be read is as good as none", async (t) => {
  const clock = new Clock();
  const store = new MemoryStore();
  store.packed = Buffer.from("nonsense");
  const process = new Process(clock, store, { replicas: 3, foundRunning: true });
  await process.lead(1);
  t.equal(process.autoscaler.desired, -1);
  await process.end("released");
});

test("who could not renew and leads again goes on as if nothing had been", async (t) => {
  const clock = new Clock();
  const store = new MemoryStore();
  const process = new Process(clock, store, { replicas: 2 });
  await process.lead(0);
  process.autoscaler.readyPods = 2;
  const pods = ["pod-0", "pod-1"].map((name) => new Source(clock, "pod", name));
  for (const pod of pods) pod.connect(process.autoscaler);
  load(clock, pods);
  const before = process.autoscaler.desired;
  t.ok(before > 1);
  await process.end("lost");
  t.equal(store.packed, undefined, "nothing is written: there may be no server to write to");
  t.same(process.terms.owner(key), { is: "here" }, "pods go on reporting here");
  t.same(process.ended, []);
  load(clock, pods, 20);
  await process.lead(1);
  t.equal(process.autoscaler.desired, before);
  t.match(averages(process.autoscaler, clock), { hasData: true });
  await process.end("lost");

  process.owner = "10.1.0.2";
  process.terms.look();
  t.same(process.ended, ["pods"], "once another leads they are sent there");
  t.same(process.terms.owner(key), { is: "elsewhere", address: "10.1.0.2" });
});
