// data-plane 1.7: the three time limits.
import { once } from "node:events";
import http2 from "node:http2";
import { connect } from "node:net";
import { test } from "tap";
import { get, heldApp, raw, startApp, startSidecar, upgradeTo, upgradingApp, type Teardown } from "../fixture.ts";

const limits = { totalMs: 0, responseStartMs: 0, idleMs: 0 };
const long = 60_000;
const short = 100;

const timeout = (code: string): RegExp =>
  new RegExp(
    `^HTTP/1\\.1 504 Gateway Timeout\\r\\nContent-Type: text/plain; charset=utf-8\\r\\nswell-error: ${code}\\r\\nContent-Length: 15\\r\\n[^]*\\r\\n\\r\\nrequest timeout$`,
  );

async function startApps(t: Teardown) {
  let gone = Promise.withResolvers<void>();
  return {
    /** Never answers. */
    silent: await startApp(t, (incoming) => {
      incoming.socket.once("close", () => gone.resolve());
    }),
    /** Sends half of an answer without a length. */
    chunked: await startApp(t, (_incoming, outgoing) => void outgoing.write("half")),
    /** Sends half of what it announced. */
    sized: await startApp(t, (_incoming, outgoing) => {
      outgoing.setHeader("Content-Length", "8");
      outgoing.write("half");
    }),
    /** Sends a byte each 60 ms, six times. */
    trickle: await startApp(t, (_incoming, outgoing) => {
      outgoing.flushHeaders();
      let left = 6;
      const timer = setInterval(() => {
        outgoing.write("x");
        if (--left > 0) return;
        clearInterval(timer);
        outgoing.end();
      }, 60);
    }),
    connectionClosed: async () => {
      await gone.promise;
      gone = Promise.withResolvers<void>();
    },
  };
}

test("requests", async (t) => {
  const apps = await startApps(t);
  const broken = /\r\n4\r\nhalf\r\n(?!0\r\n)/;
  const rows = [
    {
      name: "total: nothing sent",
      app: apps.silent,
      set: { totalMs: short },
      want: timeout("request-timeout"),
      line: "Request timeout: 0.1s",
    },
    {
      name: "response start: nothing sent",
      app: apps.silent,
      set: { totalMs: long, responseStartMs: short },
      want: timeout("response-start-timeout"),
      line: "Response start timeout: 0.1s",
    },
    {
      name: "idle: nothing sent, since the start",
      app: apps.silent,
      set: { totalMs: long, idleMs: short },
      want: timeout("idle-timeout"),
      line: "Idle timeout: 0.1s",
    },
    {
      name: "the earliest of the three counts",
      app: apps.silent,
      set: { totalMs: long, responseStartMs: long, idleMs: short },
      want: timeout("idle-timeout"),
      line: "Idle timeout: 0.1s",
    },
    {
      name: "better than the original: total, half a chunked response: broken, without text of ours at its tail",
      app: apps.chunked,
      set: { totalMs: short },
      want: broken,
      line: "Request timeout: 0.1s",
    },
    {
      name: "total, half of a response with a length: cut off",
      app: apps.sized,
      set: { totalMs: short },
      want: /\r\n\r\nhalf(?:\[reset\])?$/,
      line: "Request timeout: 0.1s",
    },
    {
      name: "better than the original: idle, half a chunked response: broken",
      app: apps.chunked,
      set: { totalMs: long, idleMs: short },
      want: broken,
      line: "Idle timeout: 0.1s",
    },
    {
      name: "response start is over once it has begun",
      app: apps.trickle,
      set: { totalMs: long, responseStartMs: 250 },
      want: /(?:1\r\nx\r\n){6}0\r\n\r\n$/,
      line: undefined,
    },
    {
      name: "idle leaves a response alone that moves",
      app: apps.trickle,
      set: { totalMs: long, idleMs: 250 },
      want: /(?:1\r\nx\r\n){6}0\r\n\r\n$/,
      line: undefined,
    },
    {
      name: "0 turns each off",
      app: apps.trickle,
      set: {},
      want: /(?:1\r\nx\r\n){6}0\r\n\r\n$/,
      line: undefined,
    },
  ];
  for (const { name, app, set, want, line } of rows)
    await t.test(name, async (t) => {
      const { port, lines } = await startSidecar(t, { userPort: app, limits: { ...limits, ...set } });
      t.match(await raw(port, get("/")), want);
      t.equal(
        lines.some((entry) => line !== undefined && entry.includes(line) && entry.includes('"warn"')),
        line !== undefined,
        "logged as a warning",
      );
    });

  await t.test("what runs in the app is given up", async (t) => {
    const { port } = await startSidecar(t, { userPort: apps.silent, limits: { ...limits, totalMs: short } });
    t.match(await raw(port, get("/")), timeout("request-timeout"));
    await apps.connectionClosed();
    t.pass("the app's connection was closed");
  });

  await t.test("only what goes to the client counts for idle, not what it sends", async (t) => {
    const { port } = await startSidecar(t, {
      userPort: apps.silent,
      limits: { ...limits, totalMs: long, idleMs: 300 },
    });
    const socket = connect(port, "127.0.0.1");
    socket.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    const timer = setInterval(() => socket.write("1\r\nx\r\n"), 50);
    const [answer] = (await once(socket, "data")) as [Buffer];
    clearInterval(timer);
    socket.destroy();
    t.match(String(answer), /^HTTP\/1\.1 504 /);
  });

  await t.test("waiting for the breaker counts", async (t) => {
    const { port } = await startSidecar(t, {
      userPort: apps.silent,
      containerConcurrency: 1,
      limits: { ...limits, totalMs: short },
    });
    for (const answer of await Promise.all([raw(port, get("/a")), raw(port, get("/b"))]))
      t.match(answer, timeout("request-timeout"));
  });

  await t.test("probes have no limit but their own", async (t) => {
    const probe = { periodMs: 1000, timeoutMs: 300, successThreshold: 1, failureThreshold: 3 };
    const action = {
      is: "http" as const,
      host: "127.0.0.1",
      port: apps.silent,
      path: "/",
      scheme: "HTTP" as const,
      headers: [],
    };
    const { port } = await startSidecar(t, {
      userPort: apps.silent,
      probes: [{ ...probe, action }],
      limits: { ...limits, totalMs: 50 },
    });
    t.match(await raw(port, get("/", "User-Agent: kube-probe/1\r\nK-Network-Probe: queue\r\n")), /^HTTP\/1\.1 503 /);
  });
});

test("better than the original: an HTTP/2 response that is cut off is a reset stream", async (t) => {
  const app = http2.createServer();
  app.on("stream", (stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200 });
    stream.write("half");
  });
  const userPort = await startApp(t, app as unknown as Parameters<typeof startApp>[1]);
  const { port } = await startSidecar(t, { userPort, limits: { ...limits, totalMs: short } });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  stream.resume();
  const [error] = (await once(stream, "error")) as [Error];
  t.match(error.message, /Stream closed with error code/);
});

test("better than the original: an upgraded connection is limited in silence, not in age", async (t) => {
  for (const [name, set, line] of [
    ["total", { totalMs: 250, responseStartMs: short }, "Request timeout"],
    ["idle", { totalMs: long, idleMs: 250 }, "Idle timeout"],
  ] as const)
    await t.test(name, async (t) => {
      const userPort = await startApp(t, upgradingApp());
      const { port, lines } = await startSidecar(t, { userPort, limits: { ...limits, ...set } });
      const socket = connect(port, "127.0.0.1");
      socket.write(upgradeTo("echo"));
      await once(socket, "data");
      for (let beat = 0; beat < 10; beat += 1) {
        socket.write("x");
        await once(socket, "data");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      t.notOk(
        lines.some((entry) => entry.includes("timeout")),
        "it outlives the limit with traffic",
      );
      await once(socket, "close");
      t.ok(
        lines.some((entry) => entry.includes(line)),
        "then silence ends it",
      );
    });
});

test("a request that ends in time leaves nothing behind", async (t) => {
  const app = heldApp();
  const userPort = await startApp(t, app.listener);
  const { port, lines } = await startSidecar(t, { userPort, limits: { ...limits, totalMs: 400, idleMs: 400 } });
  const first = raw(port, get("/"));
  await app.until(1);
  app.arrived[0]!.answer("ok");
  t.match(await first, /ok$/);
  const second = raw(port, get("/"));
  t.match(await second, timeout("request-timeout"), "the second one's limit comes after the first one's would have");
  t.equal(lines.filter((entry) => entry.includes("timeout")).length, 1);
});
