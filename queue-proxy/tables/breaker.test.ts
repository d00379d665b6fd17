// data-plane 1.6: concurrency.
import { connect } from "node:net";
import { test } from "tap";
import { get, heldApp, raw, startApp, startSidecar, upgradeTo, upgradingApp, type Teardown } from "../fixture.ts";

const hash = get("/", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n");

/** `running` requests in the app and `waiting` in line, in order of their numbers. */
async function startFull(t: Teardown, options: { limit: number; requests: number }) {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const { port } = await startSidecar(t, { userPort, containerConcurrency: options.limit });
  const answers: Promise<string>[] = [];
  for (let index = 0; index < options.requests; index += 1) {
    answers.push(raw(port, get(`/${index}`)));
    // A probe on a connection that came later has been answered: the request is where it belongs.
    await raw(port, hash);
  }
  await app.until(Math.min(options.limit, options.requests));
  return { app, port, answers };
}

test("a limit of c runs c and queues 10·c", async (t) => {
  for (const limit of [1, 2])
    await t.test(`c = ${limit}`, async (t) => {
      const slots = 11 * limit;
      const { app, port, answers } = await startFull(t, { limit, requests: slots });
      t.equal(app.arrived.length, limit, "c run");
      t.match(
        await raw(port, get("/over")),
        /^HTTP\/1\.1 503 Service Unavailable\r\nContent-Type: text\/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nswell-error: container-queue-full\r\n(?![^]*Retry-After)[^]*\r\n\r\npending request queue full\n$/,
        "slot 11·c + 1 is refused at once",
      );
      const order: string[] = [];
      for (let index = 0; index < slots; index += 1) {
        await app.until(index + 1);
        t.ok(app.arrived.length <= index + limit, "never more than c");
        order.push(app.arrived[index]!.path);
        app.arrived[index]!.answer("ok");
      }
      t.strictSame(
        order,
        Array.from({ length: slots }, (_value, index) => `/${index}`),
        "better than the original: strictly in order of arrival",
      );
      for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 200 [^]*ok$/);
    });
});

test("c < 1: nothing is queued or refused", async (t) => {
  for (const limit of [0, -1]) {
    const app = heldApp();
    const userPort = await startApp(t, app.listener);
    const { port } = await startSidecar(t, { userPort, containerConcurrency: limit });
    const answers = Array.from({ length: 30 }, (_value, index) => raw(port, get(`/${index}`)));
    await app.until(30);
    for (const { answer } of app.arrived) answer("ok");
    for (const answer of await Promise.all(answers)) t.match(answer, /^HTTP\/1\.1 200 /);
  }
});

test("better than the original: who claims to be the kubelet waits like everybody else", async (t) => {
  const { app, port, answers } = await startFull(t, { limit: 1, requests: 2 });
  const claims = [
    raw(port, get("/kubelet", "K-Kubelet-Probe: 1\r\n")),
    raw(port, get("/queue", "K-Network-Probe: queue\r\n")),
  ];
  await raw(port, hash);
  t.equal(app.arrived.length, 1, "none of them passes");
  for (let index = 0; index < 4; index += 1) {
    await app.until(index + 1);
    app.arrived[index]!.answer("ok");
  }
  for (const answer of await Promise.all([...answers, ...claims])) t.match(answer, /ok$/);
});

test("a client that goes", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const { port } = await startSidecar(t, { userPort, containerConcurrency: 1 });
  const running = connect(port, "127.0.0.1");
  running.write(get("/running"));
  await app.until(1);
  const waiting = connect(port, "127.0.0.1");
  waiting.write(get("/waiting"));
  await raw(port, hash);
  const last = raw(port, get("/last"));
  await raw(port, hash);
  waiting.destroy();
  await raw(port, hash);
  running.destroy();
  await app.arrived[0]!.gone;
  await app.until(2);
  t.equal(app.arrived[1]!.path, "/last", "frees its place or its permit, and is never sent");
  app.arrived[1]!.answer("served");
  t.match(await last, /served$/);
});

test("a permit is held for an upgraded connection's whole life", async (t) => {
  const userPort = await startApp(t, upgradingApp());
  const { port } = await startSidecar(t, { userPort, containerConcurrency: 1 });
  const socket = connect(port, "127.0.0.1");
  socket.write(upgradeTo("echo"));
  await new Promise((resolve) => socket.once("data", resolve));
  let served = false;
  const next = raw(port, get("/next")).then((answer) => {
    served = true;
    return answer;
  });
  await raw(port, hash);
  socket.write("x");
  await new Promise((resolve) => socket.once("data", resolve));
  t.notOk(served);
  socket.destroy();
  t.match(await next, /not upgraded$/);
});

test("what waits is part of the reported concurrency", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const { port, load } = await startSidecar(t, { userPort, containerConcurrency: 1 });
  const answers = [1, 2, 3].map(() => raw(port, get("/", "K-Proxy-Request: activator\r\n")));
  answers.push(raw(port, get("/", "K-Kubelet-Probe: 1\r\n")));
  await app.until(1);
  await raw(port, hash);
  t.match(load(), { inFlight: 4, proxiedInFlight: 3, arrivals: 4, proxiedArrivals: 3 });
  for (let index = 0; index < 4; index += 1) {
    await app.until(index + 1);
    app.arrived[index]!.answer("ok");
  }
  await Promise.all(answers);
});
