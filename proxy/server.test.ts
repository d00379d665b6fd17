import { once } from "node:events";
import { createServer, request, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import { get, loopback, raw, startApp, startProxy, startRawApp, startServer, textOf, to } from "./fixture.ts";
import { createProxyServer } from "./server.ts";

test("a response is relayed as the app sent it", async (t) => {
  const rows = [
    {
      name: "HEAD keeps the length and has no body",
      send: get("/").replace("GET", "HEAD"),
      app: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
      want: /^HTTP\/1\.1 200 OK\r\nContent-Length: 5\r\n[^]*\r\n\r\n$/,
    },
    {
      name: "204 has no body",
      send: get("/"),
      app: "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n",
      want: /^HTTP\/1\.1 204 No Content\r\nX-A: 1\r\n(?![^]*chunked)[^]*\r\n\r\n$/,
    },
    {
      name: "304 keeps its length",
      send: get("/"),
      app: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
      want: /^HTTP\/1\.1 304 Not Modified\r\nContent-Length: 9\r\n[^]*\r\n\r\n$/,
    },
    {
      name: "the reason phrase, repeated fields and their order stay",
      send: get("/"),
      app: "HTTP/1.1 299 Fine Then\r\nSet-Cookie: a=1\r\nx-Odd: b\r\nSet-Cookie: c=2\r\nContent-Length: 2\r\n\r\nok",
      want: /^HTTP\/1\.1 299 Fine Then\r\nSet-Cookie: a=1\r\nx-Odd: b\r\nSet-Cookie: c=2\r\nContent-Length: 2\r\n[^]*\r\n\r\nok$/,
    },
    {
      name: "trailers follow a chunked body",
      send: get("/"),
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
      want: /Trailer: X-Sum\r\n[^]*\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n$/,
    },
    {
      name: "interim answers come first",
      send: get("/"),
      app: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      want: /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*ok$/,
    },
    {
      name: "hop-by-hop fields and what Connection names are removed",
      send: get("/"),
      app: "HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-End: 2\r\nContent-Length: 2\r\n\r\nok",
      want: /^HTTP\/1\.1 200 OK\r\nX-End: 2\r\nContent-Length: 2\r\n(?![^]*X-Hop)(?![^]*Keep-Alive: 5)[^]*ok$/,
    },
    {
      name: "a body without length ends with the app's connection and arrives chunked",
      send: get("/"),
      app: "HTTP/1.0 200 OK\r\n\r\nall of it",
      close: true,
      want: /Transfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n$/,
    },
    {
      name: "a client of HTTP/1.0 gets no chunks",
      send: "GET / HTTP/1.0\r\n\r\n",
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
      want: /^HTTP\/1\.1 200 OK\r\n(?![^]*chunked)[^]*\r\n\r\nok$/,
    },
    {
      name: "a chunked body that breaks off does not end well",
      send: get("/"),
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
      close: true,
      want: /2\r\nok\r\n(?!0)/,
    },
    {
      name: "an upgrade that the app refuses is answered with the app's own answer",
      send: get("/").replace("Connection: close", "Connection: Upgrade\r\nUpgrade: websocket"),
      app: "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
      want: /^HTTP\/1\.1 403 Forbidden\r\nContent-Length: 2\r\n[^]*no$/,
    },
  ];
  for (const { name, send, app, close, want } of rows)
    await t.test(name, async (t) => {
      const appPort = await startRawApp(t, (socket, received) => {
        if (!received.endsWith("\r\n\r\n")) return;
        socket.write(app);
        if (close === true) socket.end();
      });
      const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
      t.match(await raw(port, send), want);
    });
});

test("a request reaches the app as it was sent", async (t) => {
  const rows = [
    {
      name: "the target is not normalised",
      send: get("/a//b/../%2F;x?y=%zz"),
      want: /^GET \/a\/\/b\/\.\.\/%2F;x\?y=%zz HTTP\/1\.1\r\n/,
    },
    { name: "the Host stays", send: get("/"), want: /\r\nHost: app\.example\r\n/ },
    { name: "X-Forwarded-For is made", send: get("/"), want: /\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/ },
    {
      name: "X-Forwarded-For is folded and appended to",
      send: get("/", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n"),
      want: /\r\nX-Forwarded-For: 1\.1\.1\.1, 2\.2\.2\.2, 127\.0\.0\.1\r\n/,
    },
    {
      name: "hop-by-hop fields go, TE keeps trailers",
      send: get("/", "Keep-Alive: 1\r\nProxy-Authorization: x\r\nTE: gzip, trailers\r\nProxy-Connection: x\r\n"),
      want: /^(?![^]*(?:Keep-Alive:|Proxy-))[^]*\r\nTE: trailers\r\n/i,
    },
    {
      name: "what Connection names goes",
      send: get("/", "X-Hop: 1\r\nX-End: 1\r\n").replace("Connection: close", "Connection: close, X-Hop"),
      want: /^(?![^]*X-Hop)[^]*X-End: 1/,
    },
    { name: "no User-Agent is invented", send: get("/"), want: /^(?![^]*User-Agent)/ },
    { name: "an empty POST says so", send: get("/").replace("GET", "POST"), want: /\r\nContent-Length: 0\r\n/ },
    {
      name: "an upgrade to h2c is not passed on",
      send: get("/", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n").replace(
        "Connection: close",
        "Connection: Upgrade, HTTP2-Settings, close",
      ),
      want: /^(?![^]*(?:h2c|HTTP2-Settings))/i,
    },
  ];
  for (const { name, send, want } of rows)
    await t.test(name, async (t) => {
      let seen = "";
      const appPort = await startRawApp(t, (socket, received) => {
        if (!received.endsWith("\r\n\r\n")) return;
        seen = received;
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      });
      const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
      t.match(await raw(port, send), /^HTTP\/1\.1 200/);
      t.match(seen, want);
    });

  await t.test("a chunked body keeps its trailers", async (t) => {
    const got: { body: string; trailers: unknown }[] = [];
    const appPort = await startApp(t, async (incoming, outgoing) => {
      got.push({ body: await textOf(incoming), trailers: incoming.rawTrailers });
      outgoing.end();
    });
    const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
    const head = get("/", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n").replace("GET", "POST");
    await raw(port, `${head}5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n`);
    t.strictSame(got, [{ body: "hello", trailers: ["X-Sum", "7"] }]);
  });

  await t.test("the app's 100 Continue reaches a client that waits for it", async (t) => {
    const app = createServer();
    app.on("checkContinue", (incoming, outgoing) => {
      outgoing.writeContinue();
      void textOf(incoming).then((text) => outgoing.end(`got ${text}`));
    });
    const appPort = await startServer(t, app);
    const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
    const outgoing = request({ port, method: "POST", headers: { expect: "100-continue" } });
    outgoing.flushHeaders();
    await once(outgoing, "continue");
    outgoing.end("body");
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    t.equal(await textOf(response), "got body");
  });
});

test("large bodies flow both ways with a slow reader", async (t) => {
  const appPort = await startApp(t, (incoming, outgoing) => void incoming.pipe(outgoing));
  const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
  const outgoing = request({ port, method: "POST" });
  const sent = 8 * 1024 * 1024;
  outgoing.end(Buffer.alloc(sent, "x"));
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  let received = 0;
  for await (const chunk of response) {
    received += (chunk as Buffer).length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(received, sent);
});

test("an upgraded connection is spliced", async (t) => {
  const app = createServer();
  app.on("upgrade", (_incoming, socket: Socket, head) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi ");
    socket.write(head);
    socket.pipe(socket);
  });
  const appPort = await startServer(t, app);
  const ends: string[] = [];
  const port = await startProxy(t, (exchange) => {
    exchange.onEnd((end) => ends.push(`${end} ${exchange.upgraded} ${exchange.status}`));
    return exchange.forward(to(appPort));
  });
  const socket = connect(port, "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ");
  let received = "";
  socket.on("data", (chunk) => {
    received += String(chunk);
    if (received.endsWith("early ")) socket.end("late");
  });
  await once(socket, "close");
  t.match(
    received,
    /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhi early late$/,
  );
  t.strictSame(ends, ["completed true 101"]);
});

test("an upgrade to another protocol than asked for is a 502", async (t) => {
  const appPort = await startRawApp(t, (socket) =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"),
  );
  const port = await startProxy(t, (exchange) => exchange.forward(to(appPort)));
  const answer = await raw(port, get("/").replace("Connection: close", "Connection: Upgrade\r\nUpgrade: echo"));
  t.match(answer, /^HTTP\/1\.1 502 [^]*backend tried to switch protocol "other" when "echo" was requested\n$/);
});

test("CONNECT is refused", async (t) => {
  const port = await startProxy(t, () => void t.fail("must not be handled"));
  t.match(await raw(port, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), /^HTTP\/1\.1 502 /);
});

test("closing ends idle keep-alive connections and those that become idle", async (t) => {
  const release = Promise.withResolvers<void>();
  const server = createProxyServer({
    handler: async (exchange) => {
      if (exchange.head.target === "/slow") await release.promise;
      exchange.answer(200, "done");
    },
    log: silentLogger,
  });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  const idle = connect(port!, "127.0.0.1");
  idle.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(idle, "data");
  const busy = connect(port!, "127.0.0.1");
  busy.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  while (server.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));

  const closed = server.close(60_000);
  await once(idle.resume(), "end");
  release.resolve();
  const [answer] = (await once(busy, "data")) as [Buffer];
  t.match(String(answer), /^HTTP\/1\.1 200 OK\r\n/);
  await closed;
});
