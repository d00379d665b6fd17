import { once } from "node:events";
import { connect, createServer as createTcpServer } from "node:net";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import type { Exchange, UpstreamError } from "./exchange.ts";
import { createProxyServer } from "./server.ts";
import {
  type Closable,
  get,
  loopback,
  raw,
  startApp,
  startProxy,
  startRawApp,
  startServer,
  textOf,
  to,
} from "./fixture.ts";

test("forward says whether the request may be sent elsewhere", async (t) => {
  const outcome = async (t: Closable, send: string, appPort: number): Promise<string> => {
    let error: UpstreamError | undefined;
    const port = await startProxy(t, async (exchange) => {
      await exchange.forward(to(appPort)).catch((thrown: UpstreamError) => {
        error = thrown;
        exchange.answer(502, `${thrown.message}\n`);
      });
    });
    const answer = await raw(port, send);
    return `${error?.retriable} ${answer.split("\r\n\r\n")[1]}`;
  };
  await t.test("nothing listens: yes, the body untouched", async (t) => {
    const spare = createTcpServer();
    const closedPort = await startServer(t, spare);
    spare.close();
    const send = get("/", "Content-Length: 2\r\n").replace("GET", "POST") + "hi";
    t.equal(await outcome(t, send, closedPort), `true dial tcp 127.0.0.1:${closedPort}: connect: connection refused\n`);
  });
  await t.test("it closes without an answer: no", async (t) => {
    const appPort = await startRawApp(t, (socket) => socket.end());
    t.equal(await outcome(t, get("/"), appPort), "false EOF\n");
  });
  await t.test("it resets: no", async (t) => {
    const appPort = await startRawApp(t, (socket) => socket.resetAndDestroy());
    t.match(await outcome(t, get("/"), appPort), /^false read tcp [\d.:]+: read: connection reset by peer\n$/);
  });
  await t.test("it talks nonsense: no", async (t) => {
    const appPort = await startRawApp(t, (socket) => socket.end("nonsense\r\n\r\n"));
    t.match(
      await outcome(t, get("/"), appPort),
      /^false net\/http: HTTP\/1\.x transport connection broken: malformed HTTP response/,
    );
  });
  await t.test("after a refusal it can be forwarded again, body and all", async (t) => {
    const spare = createTcpServer();
    const closedPort = await startServer(t, spare);
    spare.close();
    const appPort = await startApp(t, async (incoming, outgoing) => outgoing.end(await textOf(incoming)));
    const port = await startProxy(t, (exchange) =>
      exchange.forward(to(closedPort)).catch(() => exchange.forward(to(appPort))),
    );
    const send = get("/", "Content-Length: 2\r\n").replace("GET", "POST") + "hi";
    t.match(await raw(port, send), /\r\n\r\n(?:2\r\n)?hi/);
  });
});

test("an idle connection that the app has closed costs no request", async (t) => {
  let connections = 0;
  const app = createTcpServer((socket) => {
    connections += 1;
    let requests = 0;
    socket.on("error", () => {});
    socket.on("data", () => {
      requests += 1;
      // The second request on a connection finds it closed.
      if (requests > 1) socket.resetAndDestroy();
      else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  const appPort = await startServer(t, app);
  const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
  for (let round = 0; round < 3; round += 1) t.match(await raw(port, get("/")), /^HTTP\/1\.1 200 [^]*ok$/);
  t.equal(connections, 3);
});

test("a client that goes away ends the exchange and the call to the app", async (t) => {
  const gone = Promise.withResolvers<string>();
  const arrived = Promise.withResolvers<void>();
  const appPort = await startApp(t, (_incoming, outgoing) => {
    outgoing.once("close", () => gone.resolve("the app's side closed"));
    arrived.resolve();
  });
  const ends: string[] = [];
  const port = await startProxy(t, async (exchange) => {
    exchange.onEnd((end) => ends.push(end));
    await exchange.forward(to(appPort));
    ends.push("forward resolved");
  });
  const socket = connect(port, "127.0.0.1");
  socket.write(get("/"));
  await arrived.promise;
  socket.destroy();
  t.equal(await gone.promise, "the app's side closed");
  t.strictSame(ends, ["client-gone", "forward resolved"]);
});

test("fail before a response answers, after its start breaks it", async (t) => {
  for (const { name, app, want } of [
    {
      name: "nothing sent",
      app: "",
      want: /^HTTP\/1\.1 504 Gateway Timeout\r\n[^]*Content-Length: 15\r\n[^]*request timeout$/,
    },
    { name: "half a body with length", app: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", want: /\r\n\r\nhalf$/ },
    {
      name: "half a chunked body",
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      want: /4\r\nhalf\r\n$/,
    },
  ])
    await t.test(name, async (t) => {
      const appPort = await startRawApp(t, (socket) => socket.write(app));
      const exchanges: Exchange[] = [];
      const port = await startProxy(t, (exchange) => {
        exchanges.push(exchange);
        if (app === "") setImmediate(() => exchange.fail(504, "request timeout"));
        return exchange.forward(to(appPort));
      });
      // With half a response at the client, it is broken off.
      const onData = (text: string): void => {
        if (app !== "" && text.includes("half")) exchanges[0]!.fail(504, "request timeout");
      };
      t.match(await raw(port, get("/"), onData), want);
    });
});

test("an answer to a request whose body was not read keeps the connection usable", async (t) => {
  const port = await startProxy(t, (exchange) => exchange.answer(503, "full\n"));
  const first = get("/", "Content-Length: 5\r\n").replace("GET", "POST").replace("Connection: close\r\n", "");
  const answer = await raw(port, `${first}hello${get("/second")}`);
  t.equal(answer.match(/HTTP\/1\.1 503/g)?.length, 2);
});

test("a handler that throws is a 500, an UpstreamError that gets away a 502", async (t) => {
  const port = await startProxy(t, () => {
    throw new Error("bug");
  });
  t.match(await raw(port, get("/")), /^HTTP\/1\.1 500 [^]*Internal Server Error\n$/);
});

test("malformed requests are refused", async (t) => {
  const port = await startProxy(t, () => void t.fail("must not be handled"));
  for (const [name, text] of Object.entries({
    "two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks":
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "no Host": "GET / HTTP/1.1\r\n\r\n",
    "more than 1 MiB of fields": `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(1024 * 1024 + 10)}\r\n\r\n`,
  }))
    await t.test(name, async (t) => t.match(await raw(port, text), /^HTTP\/1\.1 4(?:00|31) /));
});

test("close lets what is in flight finish and ends what is idle", async (t) => {
  const release = Promise.withResolvers<void>();
  const appPort = await startApp(t, async (_incoming, outgoing) => {
    await release.promise;
    outgoing.end("done");
  });
  const server = createProxyServer({ handler: (exchange) => exchange.forward(to(appPort)), log: silentLogger });
  const [port] = await server.listen([loopback]);
  const idle = raw(port!, "");
  const used = connect(port!, "127.0.0.1");
  let received = "";
  used.on("data", (chunk) => (received += String(chunk)));
  used.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  while (server.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
  const closed = server.close(30_000);
  t.equal(await idle, "");
  release.resolve();
  await closed;
  await once(used, "close");
  t.match(received, /^HTTP\/1\.1 200 [^]*done/);
});

test("an early answer to a large body arrives, and the connection is given up", async (t) => {
  const port = await startProxy(t, (exchange) => exchange.answer(503, "full\n"));
  const body = "x".repeat(4 * 1024 * 1024);
  const send = get("/", `Content-Length: ${body.length}\r\n`)
    .replace("GET", "POST")
    .replace("Connection: close\r\n", "");
  for (let round = 0; round < 5; round += 1)
    t.match(await raw(port, send + body), /^HTTP\/1\.1 503 [^]*Connection: close\r\n[^]*full\n$/);
});

test("without a 100 of ours the connection ends, since nobody knows what comes next", async (t) => {
  const port = await startProxy(t, (exchange) => exchange.answer(503, "full\n"));
  const send = get("/", "Expect: 100-continue\r\nContent-Length: 5\r\n")
    .replace("GET", "POST")
    .replace("Connection: close\r\n", "");
  t.match(await raw(port, send), /^HTTP\/1\.1 503 [^]*Connection: close\r\n[^]*full\n$/);
});
