import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer as createTcpServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import type { ExchangeEnd, Handler, ProxyServer } from "./exchange.ts";
import { get, loopback, raw, startRawApp, startServer, to, type Closable } from "./fixture.ts";
import { createProxyServer } from "./server.ts";

/** Looks until it is so; the runner's own time limit ends what never is. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

interface Front {
  server: ProxyServer;
  port: number;
  ends: ExchangeEnd[];
}

async function startFront(t: Closable, handler: Handler): Promise<Front> {
  const ends: ExchangeEnd[] = [];
  const server = createProxyServer({
    handler: (exchange) => {
      exchange.onEnd((end) => ends.push(end));
      return handler(exchange);
    },
    log: silentLogger,
  });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  return { server, port: port!, ends };
}

function dial(port: number): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  return socket;
}

const keepAlive = (head: string): string => head.replace("Connection: close\r\n", "");
const post = (path: string, extra: string): string => keepAlive(get(path, extra)).replace("GET", "POST");
const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

test("a client that resets leaves nothing behind, whenever it does", async (t) => {
  const rows = [
    { name: "before its first octet", send: "", app: "", when: "connected", end: [] },
    { name: "in the middle of the head", send: "GET / HTTP/1.1\r\nHos", app: "", when: "connected", end: [] },
    { name: "while the app works", send: get("/"), app: "", when: "at the app", end: ["client-gone"] },
    {
      name: "in the middle of its body",
      send: `${post("/", "Content-Length: 9\r\n")}half`,
      app: "",
      when: "at the app",
      end: ["client-gone"],
    },
    {
      name: "in the middle of a chunk",
      send: `${post("/", "Transfer-Encoding: chunked\r\n")}9\r\nhalf`,
      app: "",
      when: "at the app",
      end: ["client-gone"],
    },
    {
      name: "in the middle of the response",
      send: get("/"),
      app: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
      when: "answered",
      end: ["client-gone"],
    },
    {
      name: "in the middle of a response without length",
      send: get("/"),
      app: "HTTP/1.1 200 OK\r\n\r\nhalf",
      when: "answered",
      end: ["client-gone"],
    },
    {
      name: "after the switch of protocols",
      send: get("/").replace("close", "Upgrade\r\nUpgrade: echo"),
      app: "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhalf",
      when: "answered",
      end: ["completed"],
    },
  ];
  for (const { name, send, app, when, end } of rows)
    await t.test(name, async (t) => {
      let arrived = false;
      let closed = 0;
      const appPort = await startRawApp(t, (socket, received) => {
        if (arrived || !/\r\n\r\n(?:$|[^]*half)/.test(received)) return;
        arrived = true;
        socket.on("close", () => (closed += 1));
        if (app !== "") socket.write(app);
      });
      const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
      const socket = dial(front.port);
      await once(socket, "connect");
      if (send !== "") socket.write(send);
      if (when === "answered") await once(socket, "data");
      if (when === "at the app") await until(() => arrived);
      socket.resetAndDestroy();
      if (end.length > 0) await until(() => closed === 1 && front.server.inFlight === 0);
      t.match(await raw(front.port, "GET / HTTP/1.1\r\n\r\n"), /^HTTP\/1\.1 400 /, "the next one is served");
      t.strictSame(front.ends, end);
      t.equal(front.server.inFlight, 0);
    });
});

test("an app that resets breaks its own exchange and no other, whenever it does", async (t) => {
  const rows = [
    { name: "at the connection", app: undefined, want: /^HTTP\/1\.1 502 / },
    { name: "after the request", app: "", want: /^HTTP\/1\.1 502 / },
    { name: "in the middle of the head", app: "HTTP/1.1 200 OK\r\nContent-", want: /^HTTP\/1\.1 502 / },
    {
      name: "in the middle of a body with length",
      app: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\nhalf(?:\[reset\])?$/,
    },
    {
      name: "in the middle of a chunk",
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\n9\r\nhalf(?:\[reset\])?$/,
    },
    {
      name: "in a body that its end would delimit",
      app: "HTTP/1.1 200 OK\r\n\r\nhalf",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\n4\r\nhalf\r\n(?:\[reset\])?$/,
    },
    {
      name: "in a body that its end would delimit, to a client of HTTP/1.0",
      send: "GET / HTTP/1.0\r\n\r\n",
      app: "HTTP/1.1 200 OK\r\n\r\nhalf",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\nhalf\[reset\]$/,
    },
    {
      name: "with a chunk that is none",
      app: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      next: "zz\r\n",
      want: /^HTTP\/1\.1 200 [^]*\r\n\r\n4\r\nhalf\r\n(?:\[reset\])?$/,
    },
  ];
  for (const { name, send, app, next, want } of rows)
    await t.test(name, async (t) => {
      const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
      let appSocket: Socket | undefined;
      const reset = (): void => void (next === undefined ? appSocket!.resetAndDestroy() : appSocket!.write(next));
      const server = createTcpServer((socket) => {
        appSocket = socket;
        socket.on("error", () => {});
        if (app === undefined) socket.resetAndDestroy();
        else
          socket.once("data", () => {
            if (app === "") socket.resetAndDestroy();
            else socket.write(app, () => app.includes("half") || setImmediate(reset));
          });
      });
      const appPort = await startServer(t, server);
      const got = await raw(front.port, send ?? get("/"), (text) => {
        if (text.includes("half")) reset();
      });
      t.match(got, want);
      await until(() => front.server.inFlight === 0);
      t.strictSame(front.ends, [got.startsWith("HTTP/1.1 502") ? "completed" : "failed"]);
    });
});

test("heads that come an octet at a time hold up nobody and begin nothing", async (t) => {
  const front = await startFront(t, (exchange) => exchange.answer(200, "served"));
  const slow = Array.from({ length: 200 }, () => dial(front.port));
  await Promise.all(slow.map((socket) => once(socket, "connect")));
  for (const octet of "GET / HTTP/1.1\r\nHost: a\r\nX: y") {
    for (const socket of slow) socket.write(octet);
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.match(await raw(front.port, get("/")), /served$/);
  t.equal(front.ends.length, 1);
  const whole = slow.slice(0, 50);
  for (const socket of whole) socket.write("\r\n\r\n");
  await Promise.all(whole.map((socket) => once(socket, "data")));
  t.equal(front.ends.length, 51);
  for (const socket of slow) socket.destroy();
});

test("100 MB go to a slow reader, and hardly any of them are kept on the way", async (t) => {
  const total = 100 * 1024 * 1024;
  const piece = Buffer.alloc(64 * 1024, "x");
  let sent = 0;
  for (const framing of ["Content-Length: 104857600", "Transfer-Encoding: chunked", "X-Until: close"]) {
    sent = 0;
    const chunk = framing.includes("chunked")
      ? Buffer.concat([Buffer.from("10000\r\n"), piece, Buffer.from("\r\n")])
      : piece;
    const appPort = await startRawApp(t, (socket) => {
      const more = (): void => {
        while (sent < total) {
          sent += piece.length;
          if (!socket.write(chunk)) return;
        }
        socket.end(framing.includes("chunked") ? "0\r\n\r\n" : "");
        socket.off("drain", more);
      };
      socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`);
      socket.on("drain", more);
      more();
    });
    const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
    const socket = dial(front.port);
    socket.write(get("/"));
    let received = 0;
    let mostOnTheWay = 0;
    for await (const bytes of socket) {
      received += (bytes as Buffer).length;
      mostOnTheWay = Math.max(mostOnTheWay, sent - received);
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(received >= total, `${framing}: all of it came`);
    // The system keeps some megabytes per connection; the rest of 100 MB would have to be with us.
    t.ok(mostOnTheWay < total / 3, `${framing}: ${mostOnTheWay} on the way`);
    await until(() => front.server.inFlight === 0);
    t.strictSame(front.ends, ["completed"]);
  }
});

/** In a process of its own: the connections of both ends together are more than one may open. */
const idleClients = (port: number, count: number): string => `
  const { connect } = require("node:net");
  let answered = 0, closed = 0, opened = 0;
  const more = () => {
    if (opened === ${count}) return;
    opened += 1;
    const socket = connect(${port}, "127.0.0.1");
    socket.once("data", () => { if (++answered === ${count}) console.log("answered"); more(); });
    socket.on("close", () => { if (++closed === ${count}) console.log("closed"); });
    socket.write("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
  };
  for (let each = 0; each < 200; each += 1) more();
`;

test("10,000 idle connections cost no request and go when the server does", async (t) => {
  const front = await startFront(t, (exchange) => exchange.answer(200, "ok"));
  const clients = spawn(process.execPath, ["-e", idleClients(front.port, 10_000)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => clients.kill());
  const said = createInterface({ input: clients.stdout })[Symbol.asyncIterator]();
  t.equal((await said.next()).value, "answered");
  t.equal(front.server.inFlight, 0);
  t.match(await raw(front.port, get("/")), /ok$/, "one more is served");
  await front.server.close(60_000);
  t.equal((await said.next()).value, "closed");
  t.equal(front.ends.length, 10_001);
});

test("of 1,000 requests that are given up at once none stays", async (t) => {
  let open = 0;
  let arrived = 0;
  const app = createTcpServer((socket) => {
    open += 1;
    socket.on("error", () => {});
    socket.on("data", () => (arrived += 1));
    socket.on("close", () => (open -= 1));
  });
  const appPort = await startServer(t, app);
  const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
  const clients = Array.from({ length: 1000 }, () => dial(front.port));
  for (const client of clients) client.write(keepAlive(get("/")));
  await until(() => arrived === 1000);
  t.equal(front.server.inFlight, 1000);
  for (const [index, client] of clients.entries()) {
    if (index % 2 === 0) client.resetAndDestroy();
    else client.destroy();
  }
  await until(() => front.server.inFlight === 0 && open === 0);
  t.equal(front.ends.length, 1000);
  t.ok(front.ends.every((end) => end === "client-gone"));
});

test("pipelined requests are answered in order, whatever their bodies", async (t) => {
  let seen = "";
  const appPort = await startRawApp(t, (socket, received) => {
    seen = received;
    const requests = received.split(/(?=(?:GET|POST) )/).filter((text) => /\r\n\r\n/.test(text));
    if (received.endsWith("!") || received.endsWith("0\r\n\r\n") || received.endsWith("\r\n\r\n"))
      socket.write(answer.replace("ok", `${requests.length % 10}.`));
  });
  const front = await startFront(t, (exchange) =>
    exchange.head.target === "/own" ? exchange.answer(404, "none\n") : exchange.forward(to(appPort)),
  );
  const requests = [
    keepAlive(get("/a")),
    `${post("/b", "Content-Length: 2\r\n")}b!`,
    `${post("/own", "Content-Length: 6\r\n")}unread`,
    `${post("/c", "Transfer-Encoding: chunked\r\n")}2;x=y\r\nc!\r\n0\r\n\r\n`,
    get("/d"),
  ];
  const got = await raw(front.port, requests.join(""));
  t.strictSame(
    got.split(/(?=HTTP\/1\.1 )/).map((text) => `${text.slice(9, 12)} ${text.split("\r\n\r\n")[1]}`),
    ["200 1.", "200 2.", "404 none\n", "200 3.", "200 4."],
  );
  t.match(seen, /\r\n\r\n2;x=y\r\nc!\r\n0\r\n\r\n/, "chunks are passed on as they came");
});

test("a body that breaks its own framing is refused and not passed on", async (t) => {
  let seen = "";
  const appPort = await startRawApp(t, (_socket, received) => (seen = received));
  const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
  const socket = dial(front.port);
  let got = "";
  socket.on("data", (chunk) => (got += String(chunk)));
  socket.write(`${post("/", "Transfer-Encoding: chunked\r\n")}2\r\nok\r\n`);
  await until(() => seen.endsWith("2\r\nok\r\n"));
  socket.write("2\nno\r\n0\r\n\r\n");
  await once(socket, "close");
  t.match(got, /^HTTP\/1\.1 400 [^]*Connection: close\r\n/);
  t.notMatch(seen, /no/);
  t.equal(front.server.inFlight, 0);
});

test("an idle upstream connection is not used after a word that nobody asked for", async (t) => {
  let connections = 0;
  const sockets: Socket[] = [];
  const app = createTcpServer((socket) => {
    connections += 1;
    sockets.push(socket);
    socket.on("error", () => {});
    socket.on("data", () => socket.write(answer));
  });
  const appPort = await startServer(t, app);
  const front = await startFront(t, (exchange) => exchange.forward(to(appPort)));
  for (let round = 0; round < 2; round += 1) t.match(await raw(front.port, get("/")), /ok$/);
  t.equal(connections, 1, "it is reused");
  const closed = once(sockets[0]!, "close");
  sockets[0]!.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  await closed;
  t.match(await raw(front.port, get("/")), /ok$/);
  t.equal(connections, 2);
});
