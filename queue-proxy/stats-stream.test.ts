import { once } from "node:events";
import { Server, ServerCredentials, status, type ServerDuplexStream } from "@grpc/grpc-js";
import { test } from "tap";
import { PodState, StatsService, type PodDirective, type PodReport } from "../proto/gen/stats.ts";
import { get, raw, startApp, startSidecar, type Teardown } from "./fixture.ts";

type Stream = ServerDuplexStream<PodReport, PodDirective>;

/** An autoscaler that only listens; `acknowledge` answers what it is told to answer. */
async function startAutoscaler(t: Teardown, port = 0) {
  const streams: { stream: Stream; peer: string; reports: PodReport["body"][] }[] = [];
  let acknowledge = true;
  let wake = (): void => {};
  const pod = (stream: Stream): void => {
    const entry: (typeof streams)[number] = { stream, peer: stream.getPeer(), reports: [] };
    streams.push(entry);
    stream.on("data", (report: PodReport) => {
      entry.reports.push(report.body);
      if (acknowledge && report.body?.$case === "load") stream.write({ acknowledged: report.body.value.sequence });
      wake();
    });
    stream.on("error", () => {});
    stream.on("end", () => stream.end());
  };
  const server = new Server();
  server.addService(StatsService, { pod, activator: (call: Stream) => call.end() });
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  t.teardown(() => server.forceShutdown());
  return {
    port: bound,
    server,
    streams,
    acknowledge: (on: boolean) => (acknowledge = on),
    /** Waits until `holds` is true after some report. */
    async until(holds: () => boolean): Promise<void> {
      while (!holds()) await new Promise<void>((resolve) => (wake = resolve));
    },
    loads: (index = streams.length - 1) =>
      (streams[index]?.reports ?? []).flatMap((body) => (body?.$case === "load" ? [body.value] : [])),
  };
}

test("the stats stream", async (t) => {
  const autoscaler = await startAutoscaler(t);
  const held: (() => void)[] = [];
  const userPort = await startApp(t, (_incoming, outgoing) => void held.push(() => outgoing.end("ok")));
  const stats = { host: "127.0.0.1", port: autoscaler.port, token: "secret", localAddress: "127.0.0.77" };
  const sidecar = await startSidecar(
    t,
    { userPort, stats, servingPort: 8012 },
    { quietMs: 60_000, acknowledgedQuietMs: 1 },
  );

  await t.test("opens with who it is, from the pod's own address, and says ready", async (t) => {
    await autoscaler.until(() => autoscaler.loads().at(-1)?.state === PodState.READY);
    const { reports, peer } = autoscaler.streams[0]!;
    t.match(reports[0], {
      $case: "hello",
      value: {
        namespace: "default",
        revision: "hello-00001",
        pod: "hello-00001-pod",
        token: "secret",
        servingPort: 8012,
      },
    });
    t.match(peer, /^127\.0\.0\.77:/);
  });

  await t.test("a request is told of while it runs and when it has ended", async (t) => {
    const answer = raw(sidecar.port, get("/", "K-Proxy-Request: activator\r\n"));
    await autoscaler.until(() => autoscaler.loads().at(-1)?.load?.inFlight === 1);
    t.match(autoscaler.loads().at(-1)!.load, { arrivals: 1, proxiedArrivals: 1, proxiedInFlight: 1 });
    // The report may be here before the request is there.
    while (held.length === 0) await new Promise((resolve) => setImmediate(resolve));
    held.shift()!();
    await answer;
    await autoscaler.until(() => autoscaler.loads().at(-1)?.load?.inFlight === 0);
    const { load } = autoscaler.loads().at(-1)!;
    t.ok(load!.requestSeconds > 0);
    t.equal(load!.requestSeconds, load!.proxiedRequestSeconds);
  });

  await t.test("a burst is told of in few messages whose counters miss nothing", async (t) => {
    const before = autoscaler.loads().length;
    const burst = Array.from({ length: 40 }, () => raw(sidecar.port, get("/")));
    const pump = setInterval(() => held.splice(0).forEach((answer) => answer()), 1);
    await Promise.all(burst);
    clearInterval(pump);
    await autoscaler.until(
      () => autoscaler.loads().at(-1)?.load?.arrivals === 41 && autoscaler.loads().at(-1)?.load?.inFlight === 0,
    );
    t.ok(autoscaler.loads().length - before < 40, "coalesced");
  });

  await t.test("sequences rise by one", (t) => {
    const sequences = autoscaler.loads().map(({ sequence }) => sequence);
    t.strictSame(
      sequences,
      sequences.map((_value, at) => at + 1),
    );
    t.end();
  });

  await t.test("a broken stream is opened again and goes on from the same counters", async (t) => {
    autoscaler.streams[0]!.stream.emit("error", Object.assign(new Error("restarting"), { code: status.UNAVAILABLE }));
    await autoscaler.until(() => autoscaler.streams.length === 2 && autoscaler.loads().length > 0);
    t.equal(autoscaler.loads().at(-1)!.load!.arrivals, 41);
    t.match(autoscaler.streams[1]!.reports[0], { $case: "hello" });
  });

  await t.test("a stop is told at once, and its acknowledgement shortens the quiet period", async (t) => {
    autoscaler.acknowledge(false);
    sidecar.stop();
    await autoscaler.until(() => autoscaler.loads().at(-1)?.state === PodState.DRAINING);
    autoscaler.streams.at(-1)!.stream.write({ acknowledged: autoscaler.loads().at(-1)!.sequence });
    // Without the acknowledgement this would take a minute.
    await sidecar.finished;
    t.pass();
  });
});

test("an autoscaler that comes later is found", async (t) => {
  const first = await startAutoscaler(t);
  first.server.forceShutdown();
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const stats = { host: "127.0.0.1", port: first.port, token: "secret", localAddress: undefined };
  const sidecar = await startSidecar(t, { userPort, stats });
  t.match(await raw(sidecar.port, get("/")), /ok/);
  const later = await startAutoscaler(t, first.port);
  await later.until(() => later.loads().at(-1)?.load?.arrivals === 1);
  t.pass();
});

test("readiness that is lost is told, and told again when it returns", async (t) => {
  const autoscaler = await startAutoscaler(t);
  let app = (await import("node:net")).createServer().listen(0, "127.0.0.1");
  await once(app, "listening");
  const { port } = app.address() as { port: number };
  const stats = { host: "127.0.0.1", port: autoscaler.port, token: "secret", localAddress: undefined };
  const probe = {
    action: { is: "tcp" as const, host: "127.0.0.1", port },
    periodMs: 1000,
    timeoutMs: 1000,
    successThreshold: 1,
    failureThreshold: 2,
  };
  const sidecar = await startSidecar(t, { userPort: port, probes: [probe], stats });
  const ask = () => raw(sidecar.port, get("/", "User-Agent: kube-probe/1\r\nK-Network-Probe: queue\r\n"));
  await autoscaler.until(() => autoscaler.loads().at(-1)?.state === PodState.READY);
  app.close();
  await once(app, "close");
  t.match(await ask(), /^HTTP\/1\.1 503/);
  t.equal(autoscaler.loads().at(-1)?.state, PodState.READY, "one failure is within the threshold");
  t.match(await ask(), /^HTTP\/1\.1 503/);
  await autoscaler.until(() => autoscaler.loads().at(-1)?.state === PodState.NOT_READY);
  app = (await import("node:net")).createServer().listen(port, "127.0.0.1");
  t.teardown(() => app.close());
  await autoscaler.until(() => autoscaler.loads().at(-1)?.state === PodState.READY);
  t.pass();
});

test("a stream goes where the owner of the revision is", async (t) => {
  const owner = await startAutoscaler(t);
  // Another address, the same port: autoscalers differ by their addresses.
  const other = new Server();
  let asked = 0;
  other.addService(StatsService, {
    activator: (call: Stream) => call.end(),
    pod(stream: Stream) {
      asked += 1;
      stream.on("error", () => {});
      stream.write({ acknowledged: 0, owner: "127.0.0.1" });
      stream.emit("error", { code: status.UNAVAILABLE, details: "another autoscaler decides for this revision" });
    },
  });
  await new Promise<void>((resolve, reject) =>
    other.bindAsync(`127.0.0.2:${owner.port}`, ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  t.teardown(() => other.forceShutdown());
  const userPort = await startApp(t, (_incoming, outgoing) => void outgoing.end("ok"));
  const stats = { host: "127.0.0.2", port: owner.port, token: "secret", localAddress: undefined };
  await startSidecar(t, { userPort, stats, servingPort: 8012 }, { quietMs: 1, acknowledgedQuietMs: 1 });
  await owner.until(() => owner.loads().at(-1)?.state === PodState.READY);
  t.equal(asked, 1, "it is asked once, and what it says is followed at once");
});
