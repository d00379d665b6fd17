import { credentials, status, type ClientDuplexStream, type ServiceError } from "@grpc/grpc-js";
import { once } from "node:events";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import {
  PodState,
  StatsClient,
  type ActivatorDirective,
  type ActivatorReport,
  type Load,
  type PodDirective,
  type PodReport,
  type RevisionPods,
} from "../proto/gen/stats.ts";
import type { Owner } from "./buckets/terms.ts";
import { RevisionStats } from "./revision-stats.ts";
import { peerAddress, statsToken } from "./stats-credentials.ts";
import { createStatsServer } from "./stats-server.ts";

const key = Buffer.alloc(32, 7);
const revision = { namespace: "default", name: "hello-00001" };

/** A server on a free port, a client of it, and what the server heard. */
async function scene(
  t: { teardown(end: () => Promise<void>): void },
  options: { leading?: boolean; helloMs?: number; owner?: () => Owner; autoscalers?: () => string[] } = {},
) {
  const heard: string[] = [];
  const waiting: (() => void)[] = [];
  const hear = (what: string): void => {
    heard.push(what);
    for (const wake of waiting.splice(0)) wake();
  };
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: { onLoad: (of) => hear(`load ${of}`), onPods: (of) => hear(`pods ${of}`) },
    nowMs: Date.now,
  });
  const server = createStatsServer({
    stats,
    key: () => key,
    leading: () => options.leading ?? true,
    log: silentLogger,
    ...(options.owner === undefined ? {} : { owner: options.owner }),
    ...(options.autoscalers === undefined ? {} : { autoscalers: options.autoscalers }),
    limits: { helloMs: options.helloMs ?? 5000 },
  });
  const port = await server.listen("127.0.0.1", 0);
  const client = new StatsClient(`127.0.0.1:${port}`, credentials.createInsecure());
  t.teardown(async () => {
    client.close();
    await server.close();
  });
  const until = async (what: string): Promise<void> => {
    while (!heard.includes(what)) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { stats, server, client, heard, until };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Everything that came, and a way to wait for what satisfies. */
class Inbox<T> {
  readonly messages: T[] = [];
  readonly #call: ClientDuplexStream<never, T>;
  constructor(call: ClientDuplexStream<never, T>) {
    this.#call = call;
    call.on("data", (message: T) => this.messages.push(message));
    call.on("error", () => {});
  }
  async until(holds: (messages: T[]) => boolean): Promise<T[]> {
    while (!holds(this.messages)) await once(this.#call, "data");
    return this.messages;
  }
}

function openPod({ client }: Scene, hello: { pod?: string; token?: string; epoch?: number } = {}) {
  const call = client.pod();
  const token = hello.token ?? statsToken(key, "pod/default/hello-00001");
  const { pod = "pod-1", epoch = 1 } = hello;
  const write = (report: PodReport) => call.write(report);
  write({
    body: {
      $case: "hello",
      value: { namespace: revision.namespace, revision: revision.name, pod, token, servingPort: 8012, epoch },
    },
  });
  const report = (sequence: number, state: PodState, of?: Partial<Load>) =>
    write({ body: { $case: "load", value: { sequence, state, load: load(of) } } });
  return { call, report, inbox: new Inbox<PodDirective>(call) };
}

function openActivator({ client }: Scene) {
  const call = client.activator();
  const write = (report: ActivatorReport) => call.write(report);
  write({ body: { $case: "hello", value: { pod: "activator-1", token: statsToken(key, "activator"), epoch: 1 } } });
  return {
    call,
    inbox: new Inbox<ActivatorDirective>(call),
    subscribe: () => write({ body: { $case: "subscription", value: { add: [revision], remove: [] } } }),
    unsubscribe: () => write({ body: { $case: "subscription", value: { add: [], remove: [revision] } } }),
    hold: (sequence: number, of: Partial<Load>) =>
      write({ body: { $case: "load", value: { sequence, revisions: [{ revision, load: load(of) }] } } }),
  };
}

function load(fields: Partial<Load> = {}): Load {
  return {
    clockMs: 1,
    requestSeconds: 0,
    proxiedRequestSeconds: 0,
    arrivals: 0,
    proxiedArrivals: 0,
    inFlight: 0,
    proxiedInFlight: 0,
    ...fields,
  };
}

async function failure(call: ClientDuplexStream<never, never>): Promise<ServiceError> {
  const [error] = (await once(call, "error")) as [ServiceError];
  return error;
}

const news = (messages: ActivatorDirective[]): RevisionPods[] => messages.flatMap(({ pods }) => pods);

test("a pod with the token of another revision is refused", async (t) => {
  const s = await scene(t);
  const { call } = openPod(s, { token: statsToken(key, "pod/default/other-00001") });
  t.equal((await failure(call as never)).code, status.UNAUTHENTICATED);
  t.equal(s.stats.podCount("default/hello-00001"), 0);
});

test("a source that does not say who it is is refused", async (t) => {
  const s = await scene(t, { helloMs: 20 });
  const silent = s.client.pod();
  silent.resume();
  t.equal((await failure(silent as never)).code, status.DEADLINE_EXCEEDED);
  const rude = s.client.activator();
  rude.resume();
  rude.write({ body: { $case: "load", value: { sequence: 1, revisions: [] } } });
  t.equal((await failure(rude as never)).code, status.INVALID_ARGUMENT);
});

test("only the leader takes streams", async (t) => {
  const s = await scene(t, { leading: false });
  t.equal((await failure(openPod(s).call as never)).code, status.UNAVAILABLE);
});

test("a subscribed activator hears of every pod and its end, at its TCP address", async (t) => {
  const s = await scene(t);
  const first = openPod(s);
  first.report(1, PodState.READY);
  await s.until("pods default/hello-00001");

  const activator = openActivator(s);
  activator.subscribe();
  const complete = news(await activator.inbox.until((messages) => news(messages).length > 0));
  const address = { ip: "127.0.0.1", port: 8012, pod: "pod-1", state: PodState.READY, gone: false };
  t.same(complete, [{ revision, complete: true, pods: [address] }], "those that are there, at once");

  const second = openPod(s, { pod: "pod-2" });
  second.report(1, PodState.STARTING);
  second.report(2, PodState.READY);
  const isReady = ({ pods }: RevisionPods) =>
    pods.some(({ pod, state }) => pod === "pod-2" && state === PodState.READY);
  const all = news(await activator.inbox.until((messages) => news(messages).some(isReady)));
  t.equal(all.at(-1)?.complete, false, "then what changes");

  second.call.end();
  const isGone = ({ pods }: RevisionPods) => pods.some(({ pod, gone }) => pod === "pod-2" && gone);
  await activator.inbox.until((messages) => news(messages).some(isGone));
  t.same(
    s.stats.pods("default/hello-00001").map(({ pod }) => pod),
    ["pod-1"],
  );
});

test("draining is acknowledged once the activators were told", async (t) => {
  const s = await scene(t);
  const activator = openActivator(s);
  activator.subscribe();
  await activator.inbox.until((messages) => news(messages).length > 0);
  const { report, inbox } = openPod(s);
  report(1, PodState.READY, { inFlight: 3, arrivals: 3 });
  report(2, PodState.DRAINING, { inFlight: 3, arrivals: 3 });
  await inbox.until((messages) => messages.some(({ acknowledged }) => acknowledged >= 2));
  const last = news(activator.inbox.messages).at(-1)?.pods.at(-1);
  t.equal(last?.state, PodState.DRAINING, "the activator had it first");
  t.equal(s.stats.collection("default/hello-00001")?.inFlight, 0, "what it works off asks for no other pod");
});

test("held requests are known at once and acknowledged", async (t) => {
  const s = await scene(t);
  const activator = openActivator(s);
  activator.hold(7, { inFlight: 100, arrivals: 100 });
  await s.until("load default/hello-00001");
  t.equal(s.stats.collection("default/hello-00001")?.inFlight, 100);
  await activator.inbox.until((messages) => messages.some(({ acknowledged }) => acknowledged === 7));
  activator.call.end();
  while (s.stats.size > 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(s.stats.activators, 0, "with its stream everything it said is gone");
});

test("a second stream of the same pod takes its place", async (t) => {
  const s = await scene(t);
  const old = openPod(s);
  old.report(1, PodState.READY, { inFlight: 2, arrivals: 2 });
  await s.until("load default/hello-00001");
  const next = openPod(s);
  next.report(1, PodState.READY, { clockMs: 50, inFlight: 5, arrivals: 5 });
  await next.inbox.until((messages) => messages.length > 0);
  old.call.end();
  await once(old.call, "end");
  t.equal(s.stats.podCount("default/hello-00001"), 1);
  t.equal(s.stats.collection("default/hello-00001")?.inFlight, 5);
});

test("a report that fails here costs its pod the stream, and nobody else", async (t) => {
  const s = await scene(t);
  const other = openPod(s, { pod: "pod-2" });
  other.report(1, PodState.READY);
  await other.inbox.until((messages) => messages.length > 0);
  const collection = s.stats.collection("default/hello-00001")!;
  const record = collection.record.bind(collection);
  collection.record = () => {
    collection.record = record;
    throw new Error("a fault of ours");
  };
  const { call, report } = openPod(s);
  report(1, PodState.READY, { inFlight: 2 });
  t.equal((await failure(call as never)).code, status.INTERNAL);
  t.same(
    s.stats.pods("default/hello-00001").map(({ pod }) => pod),
    ["pod-2"],
  );
});

test("peers as gRPC writes them", (t) => {
  t.equal(peerAddress("10.1.2.3:555"), "10.1.2.3");
  t.equal(peerAddress("::ffff:10.1.2.3:555"), "10.1.2.3");
  t.equal(peerAddress("[fd00::5]:555"), "fd00::5");
  t.equal(peerAddress("fd00::5:555"), "fd00::5");
  t.equal(peerAddress("unknown"), undefined);
  t.end();
});

test("a pod is sent to who decides for its revision, and away when that changes", async (t) => {
  let owner: Owner = { is: "elsewhere", address: "10.0.0.9" };
  const here = await scene(t, { owner: () => owner });
  const refused = openPod(here);
  const [error] = (await once(refused.call, "error")) as [ServiceError];
  t.equal(error.code, status.UNAVAILABLE);
  t.match(refused.inbox.messages, [{ acknowledged: 0, owner: "10.0.0.9" }], "the address comes before the end");
  t.equal(here.stats.podCount("default/hello-00001"), 0);

  owner = { is: "unknown" };
  const again = openPod(here);
  const [unknown] = (await once(again.call, "error")) as [ServiceError];
  t.equal(unknown.code, status.UNAVAILABLE);
  t.same(again.inbox.messages, [], "nobody is named while nobody is known");

  owner = { is: "here" };
  const taken = openPod(here);
  taken.report(1, PodState.READY);
  await here.until("pods default/hello-00001");
  here.server.endPods((of) => of !== "default/hello-00001");
  t.equal(here.stats.podCount("default/hello-00001"), 1, "others' pods are left alone");
  const ended = once(taken.call, "error");
  here.server.endPods((of) => of === "default/hello-00001");
  t.equal(((await ended) as [ServiceError])[0].code, status.UNAVAILABLE);
});

test("activators report to every autoscaler, and hear of who has requests from the one that decides", async (t) => {
  let all = ["10.0.0.1"];
  let owner: Owner = { is: "elsewhere", address: "10.0.0.2" };
  const here = await scene(t, { owner: () => owner, autoscalers: () => all });
  const { call, inbox } = openActivator(here);
  await inbox.until((messages) => messages.some(({ autoscalers }) => autoscalers !== undefined));
  t.match(inbox.messages[0]?.autoscalers, { self: "10.0.0.1", all: ["10.0.0.1"] });
  all = ["10.0.0.1", "10.0.0.2"];
  here.server.autoscalersChanged();
  here.server.autoscalersChanged();
  await inbox.until((messages) => messages.at(-1)?.autoscalers?.all.length === 2);

  const report = (sequence: number, inFlight: number): void => {
    call.write({
      body: {
        $case: "load",
        value: { sequence, revisions: [{ revision, load: load({ clockMs: sequence, inFlight }) }] },
      },
    });
  };
  call.write({ body: { $case: "subscription", value: { add: [revision], remove: [] } } });
  report(1, 5);
  await inbox.until((messages) => messages.some(({ acknowledged }) => acknowledged === 1));
  t.equal(here.stats.collection("default/hello-00001")?.inFlight, 5, "what it holds is known here too");
  t.same(
    inbox.messages.flatMap(({ demands }) => demands),
    [],
  );
  owner = { is: "here" };
  here.stats.shareAgain((of) => of === "default/hello-00001");
  await inbox.until((messages) => messages.some(({ demands }) => demands.length > 0));
  t.match(inbox.messages.at(-1)?.demands, [{ activators: [{ pod: "activator-1", inFlight: 5 }] }]);
  t.equal(inbox.messages.filter(({ autoscalers }) => autoscalers !== undefined).length, 2, "the same is told once");
});

test("an activator whose new stream opens before its old one is seen to be dead keeps its load", async (t) => {
  const here = await scene(t);
  const first = openActivator(here);
  const report = (stream: typeof first, sequence: number, clockMs: number): void => {
    stream.call.write({
      body: { $case: "load", value: { sequence, revisions: [{ revision, load: load({ clockMs, inFlight: 3 }) }] } },
    });
  };
  report(first, 1, 1);
  await first.inbox.until((messages) => messages.some(({ acknowledged }) => acknowledged === 1));
  const second = openActivator(here);
  report(second, 1, 2);
  await second.inbox.until((messages) => messages.some(({ acknowledged }) => acknowledged === 1));
  const closed = once(first.call, "error");
  first.call.cancel();
  await closed;
  while (here.server.streams.activators === 2) await new Promise((resolve) => setImmediate(resolve));
  t.equal(here.stats.collection("default/hello-00001")?.inFlight, 3);
});
