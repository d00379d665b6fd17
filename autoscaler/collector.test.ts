import * as fc from "fast-check";
import { test } from "tap";
import type { Load } from "../proto/gen/stats.ts";
import { Collection } from "./collector.ts";
import type { LoadSource } from "./load-source.ts";

const t0 = 1_700_000_000_000;
const settings = { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" as const };

/** A source as a test drives it: its own clock is `skewMs` behind ours. */
class Sender {
  readonly #load: Load = load({});
  readonly #startMs: number;
  #atMs: number;

  constructor(startMs: number) {
    this.#startMs = startMs;
    this.#atMs = startMs;
  }

  set(atMs: number, inFlight: number, proxied = 0): Load {
    const seconds = (atMs - this.#atMs) / 1000;
    this.#load.requestSeconds += this.#load.inFlight * seconds;
    this.#load.proxiedRequestSeconds += this.#load.proxiedInFlight * seconds;
    this.#load.arrivals += Math.max(0, inFlight - this.#load.inFlight);
    this.#load.proxiedArrivals += Math.max(0, proxied - this.#load.proxiedInFlight);
    this.#load.inFlight = inFlight;
    this.#load.proxiedInFlight = proxied;
    this.#load.clockMs = atMs - this.#startMs;
    this.#atMs = atMs;
    return { ...this.#load };
  }

  at(atMs: number): Load {
    return this.set(atMs, this.#load.inFlight, this.#load.proxiedInFlight);
  }
}

function load(fields: Partial<Load>): Load {
  return {
    clockMs: 0,
    requestSeconds: 0,
    proxiedRequestSeconds: 0,
    arrivals: 0,
    proxiedArrivals: 0,
    inFlight: 0,
    proxiedInFlight: 0,
    ...fields,
  };
}

const started = (collection: Collection, nowMs: number, id = "pod-1"): { source: LoadSource; sender: Sender } => {
  const source = collection.attach(id, "pod", 1, nowMs);
  const sender = new Sender(nowMs);
  collection.record(source, sender.at(nowMs), nowMs);
  return { source, sender };
};

test("a live but silent source keeps its last concurrency", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  collection.record(source, sender.set(t0, 5), t0);
  t.same(collection.averages("concurrency", t0 + 30_000), { stable: 5, panic: 5, hasData: true });
  collection.record(source, sender.set(t0 + 30_000, 0), t0 + 30_000);
  t.equal(collection.averages("concurrency", t0 + 36_000).panic, 0, "until it says otherwise");
  t.end();
});

test("what comes late is put where it belongs", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  // Ten requests in the first half of every second; every report comes half a second after the last.
  for (let second = 0; second < 6; second++) {
    collection.record(source, sender.set(t0 + second * 1000 + 500, 0), t0 + second * 1000 + 500);
    collection.record(source, sender.set(t0 + (second + 1) * 1000, 10), t0 + (second + 1) * 1000);
  }
  t.equal(collection.averages("concurrency", t0 + 6000).panic, 4.166667, "five on average, none in the first second");
  t.end();
});

test("requests through an activator count there only", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  const activator = collection.attach("activator-1", "activator", 1, t0);
  collection.record(activator, load({ inFlight: 3, arrivals: 3 }), t0);
  collection.record(source, sender.set(t0, 4, 3), t0);
  t.equal(collection.inFlight, 4);
  t.same(collection.averages("concurrency", t0 + 2000), { stable: 4, panic: 4, hasData: true });
  t.end();
});

test("a stream that ends takes its load with it, and the same source goes on where it was", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  const other = started(collection, t0, "pod-2");
  collection.record(source, sender.set(t0, 6), t0);
  collection.record(other.source, other.sender.set(t0, 1), t0);
  collection.detach(source, t0 + 2000);
  t.equal(collection.inFlight, 1);
  t.equal(collection.averages("concurrency", t0 + 6000).panic, 3);

  const again = collection.attach("pod-1", "pod", 1, t0 + 6000);
  collection.record(again, sender.at(t0 + 6000), t0 + 6000);
  t.equal(collection.averages("concurrency", t0 + 6000).panic, 7, "the time in between is made up for");

  const restarted = collection.attach("pod-1", "pod", 2, t0 + 6000);
  collection.record(restarted, load({ requestSeconds: 1000, arrivals: 50, inFlight: 2 }), t0 + 6000);
  t.equal(collection.inFlight, 3, "a new life has its own counters");
  t.equal(collection.averages("concurrency", t0 + 7000).panic, 6.333333, "whose past is not ours");
  t.end();
});

test("without any source there is no data after a window", (t) => {
  const collection = new Collection(settings, t0);
  t.equal(collection.averages("concurrency", t0).hasData, false, "nothing yet");
  const { source } = started(collection, t0);
  t.equal(collection.averages("concurrency", t0 + 1000).hasData, true, "an idle pod is data");
  collection.detach(source, t0 + 2000);
  t.equal(collection.averages("concurrency", t0 + 59_000).hasData, true);
  t.equal(collection.averages("concurrency", t0 + 63_000).hasData, false);
  t.end();
});

test("a series that begins within a second is not thinned", (t) => {
  const collection = new Collection(settings, t0);
  const activator = collection.attach("activator-1", "activator", 1, t0);
  collection.record(activator, load({}), t0);
  collection.record(activator, load({ clockMs: 600, inFlight: 100, arrivals: 100 }), t0 + 600);
  t.equal(collection.inFlight, 100, "known at once");
  t.equal(collection.heldConcurrency(t0 + 650), 0, "not held long enough");
  t.equal(collection.heldConcurrency(t0 + 700), 100);
  t.equal(collection.averages("concurrency", t0 + 1000).stable, 100);
  t.end();
});

test("a short peak is not held", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  collection.record(source, sender.set(t0 + 1000, 2), t0 + 1000);
  collection.record(source, sender.set(t0 + 1050, 50), t0 + 1050);
  collection.record(source, sender.set(t0 + 1090, 3), t0 + 1090);
  t.equal(collection.heldConcurrency(t0 + 1140), 2);
  t.equal(collection.heldConcurrency(t0 + 1200), 3);
  for (let change = 0; change < 200; change++) {
    const at = t0 + 2000 + change / 10;
    collection.record(source, sender.set(at, change % 2 === 0 ? 40 : 9), at);
  }
  t.equal(collection.heldConcurrency(t0 + 2130), 9, "however many changes there were");
  t.end();
});

test("requests per second are arrivals in the second they arrived", (t) => {
  const collection = new Collection(settings, t0);
  const { source } = started(collection, t0);
  for (let second = 1; second <= 5; second++) {
    const clockMs = second * 1000;
    collection.record(
      source,
      load({ clockMs, arrivals: second * 40, proxiedArrivals: second * 10 }),
      t0 + clockMs + 20,
    );
  }
  t.equal(Math.round(collection.averages("rps", t0 + 5100).panic * 10) / 10, 30);
  t.end();
});

test("messages that are refused", (t) => {
  const rows: [string, Load, string][] = [
    ["is not a number", load({ clockMs: Number.NaN }), "malformed"],
    ["is negative", load({ clockMs: 1000, requestSeconds: -1 }), "malformed"],
    ["is infinite", load({ clockMs: 1000, requestSeconds: Infinity }), "malformed"],
    ["has more proxied than requests", load({ clockMs: 1000, proxiedInFlight: 1 }), "malformed"],
    ["is from the future", load({ clockMs: 60_000 }), "future"],
    ["is beyond belief", load({ clockMs: 1000, requestSeconds: 1e9 }), "implausible"],
  ];
  for (const [name, message, because] of rows) {
    const collection = new Collection(settings, t0);
    const { source } = started(collection, t0);
    t.same(collection.record(source, message, t0 + 1000), { is: "refused", because }, `one that ${name}`);
    t.equal(collection.averages("concurrency", t0 + 2000).stable, 0);
  }
  const collection = new Collection(settings, t0);
  const { source } = started(collection, t0);
  const jumped = (second: number): Load => load({ clockMs: 1e9 + second * 1000, inFlight: 2 });
  for (const second of [1, 2]) t.equal(collection.record(source, jumped(second), t0 + second * 1000).is, "refused");
  t.equal(collection.record(source, jumped(3), t0 + 3000).is, "used", "a clock that changed for good is believed");
  t.equal(collection.inFlight, 2);
  t.end();
});

test("a receiver that is late believes what waited for it", (t) => {
  const collection = new Collection(settings, t0);
  const { source, sender } = started(collection, t0);
  const waiting = [7, 14, 21].map((second) => sender.set(t0 + second * 1000, 3));
  const results = waiting.map((message) => collection.record(source, message, t0 + 21_500).is);
  t.same(results, ["used", "used", "used"], "twenty-one of its seconds came in one of ours");
  t.equal(collection.averages("concurrency", t0 + 22_000).panic, 3, "each where it belongs");
  t.end();
});

test("what was held before counting started is not counted", (t) => {
  const collection = new Collection(settings, t0);
  const source = collection.attach("pod-1", "pod", 1, t0 + 2000);
  // Its stream was opened at t0 and heard two seconds later; from then on nothing is late.
  const sender = new Sender(t0);
  collection.record(source, sender.set(t0, 10), t0 + 2000);
  collection.record(source, sender.at(t0 + 3000), t0 + 3000);
  t.equal(collection.averages("concurrency", t0 + 8000).panic, 10);
  t.end();
});

test("repeated and merged messages change nothing", (t) => {
  const changes = fc.array(
    fc.record({ afterMs: fc.integer({ min: 1, max: 400 }), inFlight: fc.integer({ min: 0, max: 20 }) }),
    { minLength: 1, maxLength: 40 },
  );
  const choices = fc.array(fc.record({ repeat: fc.boolean(), merge: fc.boolean() }), { minLength: 40, maxLength: 40 });
  fc.assert(
    fc.property(changes, choices, (steps, how) => {
      const plain = new Collection(settings, t0);
      const odd = new Collection(settings, t0);
      const to = [plain, odd].map((collection) => ({ collection, source: started(collection, t0).source }));
      const sender = new Sender(t0);
      let atMs = t0;
      const messages: { atMs: number; load: Load }[] = [];
      for (const { afterMs, inFlight } of steps) {
        // The next second always begins with a report, so that merging stays within one.
        if (Math.floor((atMs + afterMs) / 1000) > Math.floor(atMs / 1000)) {
          const boundary = Math.floor((atMs + afterMs) / 1000) * 1000;
          messages.push({ atMs: boundary, load: sender.at(boundary) });
        }
        atMs += afterMs;
        messages.push({ atMs, load: sender.set(atMs, inFlight) });
      }
      for (const [index, message] of messages.entries()) {
        to[0]!.collection.record(to[0]!.source, message.load, message.atMs);
        const { repeat, merge } = how[index % how.length]!;
        const last = index === messages.length - 1;
        if (merge && !last && message.atMs % 1000 !== 0) continue;
        to[1]!.collection.record(to[1]!.source, message.load, message.atMs);
        if (repeat) to[1]!.collection.record(to[1]!.source, message.load, message.atMs);
        // A stream keeps its order; of two messages of one instant the later one counts.
        const before = messages[index - 1];
        if (repeat && before !== undefined && before.load.clockMs < message.load.clockMs)
          to[1]!.collection.record(to[1]!.source, before.load, message.atMs);
      }
      const nowMs = atMs + 1500;
      const [a, b] = to.map(({ collection }) => collection.averages("concurrency", nowMs));
      const near = (x: number, y: number): boolean => Math.abs(x - y) < 2e-6;
      return near(a!.stable, b!.stable) && near(a!.panic, b!.panic);
    }),
    { numRuns: 300 },
  );
  t.end();
});
