import * as fc from "fast-check";
import { test } from "tap";
import { ScaleWrites, type ScaleWritesOptions } from "./scale-writes.ts";

const deadlineMs = 5000;
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

/** An API server that answers when it is told to, and a clock that moves when it is told to. */
class Scene {
  readonly writes: ScaleWrites;
  /** In the order in which they came: `a/x=3`. */
  readonly started: string[] = [];
  readonly open = new Map<string, PromiseWithResolvers<void>>();
  readonly #timers = new Set<{ atMs: number; call: () => void }>();
  #nowMs = 0;

  constructor(limits: Partial<ScaleWritesOptions> = {}) {
    this.writes = new ScaleWrites({
      total: 4,
      perNamespace: 2,
      deadlineMs,
      after: (ms, call) => {
        const timer = { atMs: this.#nowMs + ms, call };
        this.#timers.add(timer);
        return () => this.#timers.delete(timer);
      },
      write: ({ namespace, name }, replicas) => {
        const id = `${namespace}/${name}=${replicas}`;
        this.started.push(id);
        const answer = Promise.withResolvers<void>();
        this.open.set(id, answer);
        return answer.promise.finally(() => this.open.delete(id));
      },
      ...limits,
    });
  }

  set(target: string, replicas: number, wakes = true): Promise<void> {
    const [namespace = "", name = ""] = target.split("/");
    return this.writes.set({ namespace, name }, replicas, wakes);
  }

  async answer(id: string, error?: Error): Promise<void> {
    if (error === undefined) this.open.get(id)!.resolve();
    else this.open.get(id)!.reject(error);
    await turns();
  }

  async answerAllBut(...hung: string[]): Promise<void> {
    for (;;) {
      const next = [...this.open.keys()].find((id) => !hung.some((prefix) => id.startsWith(prefix)));
      if (next === undefined) return;
      await this.answer(next);
    }
  }

  async pass(ms: number): Promise<void> {
    this.#nowMs += ms;
    for (const timer of this.#timers)
      if (timer.atMs <= this.#nowMs) {
        this.#timers.delete(timer);
        timer.call();
      }
    await turns();
  }
}

test("a write that hangs holds nobody else, of its namespace or of others", async (t) => {
  const scene = new Scene();
  const hangs = t.rejects(scene.set("a/hangs", 1), { message: "replicas were not written within 5000 ms" });
  for (let at = 0; at < 20; at += 1) for (const namespace of ["a", "b", "c"]) void scene.set(`${namespace}/${at}`, 1);
  await scene.answerAllBut("a/hangs");
  t.equal(scene.started.length, 61);
  t.equal(scene.writes.waiting, 0);
  await scene.pass(deadlineMs);
  await hangs;
});

test("a namespace in which all writes hang keeps its share, and the others go on", async (t) => {
  const scene = new Scene();
  for (let at = 0; at < 20; at += 1) void scene.set(`a/${at}`, 1).catch(() => undefined);
  for (let at = 0; at < 20; at += 1) void scene.set(`b/${at}`, 1);
  await scene.answerAllBut("a/");
  const of = (namespace: string): number => scene.started.filter((id) => id.startsWith(namespace)).length;
  t.same([of("a/"), of("b/")], [2, 20]);
  await scene.pass(deadlineMs);
  t.equal(of("a/"), 2, "those that are given up still hold a connection each");
  await scene.answer("a/0=1");
  t.equal(of("a/"), 3, "an answer makes room");
});

test("revisions without a pod go first, and namespaces take turns", async (t) => {
  const scene = new Scene({ total: 1 });
  for (const [target, wakes] of [
    ["a/first", true],
    ["a/grows", false],
    ["a/1", true],
    ["a/2", true],
    ["b/1", true],
    ["c/1", true],
    ["b/2", true],
  ] as const)
    void scene.set(target, 1, wakes);
  await scene.answerAllBut();
  t.same(
    scene.started.map((id) => id.split("=")[0]),
    ["a/first", "a/1", "b/1", "c/1", "a/2", "b/2", "a/grows"],
  );
});

test("of several counts for a revision the newest is written, after the one under way", async (t) => {
  const scene = new Scene();
  const first = scene.set("a/1", 1);
  const second = scene.set("a/1", 5);
  const third = scene.set("a/1", 9);
  await turns();
  t.same(scene.started, ["a/1=1"], "one at a time");
  await scene.answer("a/1=1");
  await first;
  await scene.answer("a/1=9");
  await Promise.all([second, third]);
  t.same(scene.started, ["a/1=1", "a/1=9"]);
});

test("what is being written already is not written twice", async (t) => {
  const scene = new Scene();
  const both = [scene.set("a/1", 3), scene.set("a/1", 3)];
  await scene.answerAllBut();
  await Promise.all(both);
  t.same(scene.started, ["a/1=3"]);
});

test("a write that fails is told to all who wait for it, and the next one is made", async (t) => {
  const scene = new Scene();
  const failed = [scene.set("a/1", 3), scene.set("a/1", 3)];
  const next = scene.set("a/1", 4);
  await scene.answer("a/1=3", new Error("refused"));
  for (const each of failed) await t.rejects(each, { message: "refused" });
  await scene.answerAllBut();
  await next;
});

test("the rest of the work waits for the wakes, but for a time, and not for a namespace that is slow", async (t) => {
  const scene = new Scene({ total: 1 });
  let rest = 0;
  const work = (): void => void scene.writes.wakesStarted(1000).then(() => (rest += 1));
  void scene.set("a/1", 1).catch(() => undefined);
  work();
  await turns();
  t.equal(rest, 1, "nobody waits");
  void scene.set("a/2", 1).catch(() => undefined);
  work();
  await turns();
  t.equal(rest, 1);
  await scene.answer("a/1=1");
  t.equal(rest, 2, "the last one has started");
  void scene.set("a/3", 1).catch(() => undefined);
  work();
  await scene.pass(1000);
  t.equal(rest, 3, "long enough");
  await scene.pass(deadlineMs);
  work();
  await turns();
  t.equal(rest, 4, "a slow namespace is waited for by nobody");
});

test("at the end nothing that waits is written", async (t) => {
  const scene = new Scene({ total: 1 });
  const first = scene.set("a/1", 1);
  const waits = scene.set("a/2", 1);
  const next = scene.set("a/1", 2);
  scene.writes.close();
  await t.rejects(waits, { message: /stops/u });
  await scene.answerAllBut();
  await first;
  await t.rejects(next, { message: /stops/u });
  await t.rejects(scene.set("a/3", 1));
  t.same(scene.started, ["a/1=1"]);
});

const step = fc.oneof(
  fc.record({
    is: fc.constant("set" as const),
    target: fc.constantFrom("a/1", "a/2", "a/3", "b/1", "b/2", "c/1"),
    replicas: fc.nat(4),
    wakes: fc.boolean(),
  }),
  fc.record({ is: fc.constant("answer" as const), which: fc.nat(5), fails: fc.boolean() }),
);

test("whatever is asked and answered in whatever order, each target ends at what was asked last, within the limits", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const scene = new Scene({ total: 3 });
      const wanted = new Map<string, { replicas: number; promise: Promise<boolean> }>();
      let fine = true;
      for (const each of steps) {
        if (each.is === "set") {
          const promise = scene.set(each.target, each.replicas, each.wakes).then(
            () => true,
            () => false,
          );
          wanted.set(each.target, { replicas: each.replicas, promise });
        } else {
          const id = [...scene.open.keys()][each.which];
          if (id !== undefined) await scene.answer(id, each.fails ? new Error("refused") : undefined);
        }
        await turns();
        const of = (namespace: string): number =>
          [...scene.open.keys()].filter((id) => id.startsWith(namespace)).length;
        fine &&= scene.open.size <= 3 && ["a/", "b/", "c/"].every((namespace) => of(namespace) <= 2);
        // Nobody waits while there is room for him.
        const room = ["a/", "b/", "c/"].every((namespace) => of(namespace) < 2) && scene.open.size < 3;
        fine &&= !room || scene.writes.waiting === 0;
      }
      await scene.answerAllBut();
      for (const [target, { replicas, promise }] of wanted) {
        const last = scene.started.findLast((id) => id.startsWith(`${target}=`));
        // One that failed was tried with what was asked last.
        await promise;
        fine &&= last === `${target}=${replicas}`;
      }
      return fine && scene.writes.waiting === 0;
    }),
    { numRuns: 300 },
  );
  t.pass();
});
