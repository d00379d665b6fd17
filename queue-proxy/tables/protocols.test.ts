// data-plane 1.5: protocols, and what is never passed on.
import { once } from "node:events";
import { createServer, request } from "node:http";
import http2 from "node:http2";
import { connect } from "node:net";
import { test } from "tap";
import { get, raw, startApp, startSidecar, upgradeTo, upgradingApp } from "../fixture.ts";

const asApp = (server: unknown): Parameters<typeof startApp>[1] => server as Parameters<typeof startApp>[1];

test("HTTP/1.0 and 1.1 come in as HTTP/1.1 to the app", async (t) => {
  let seen: string[] = [];
  const userPort = await startApp(t, (incoming, outgoing) => {
    seen = [incoming.httpVersion, incoming.url ?? "", ...incoming.rawHeaders];
    outgoing.end("ok");
  });
  const { port } = await startSidecar(t, { userPort });
  t.match(await raw(port, get("/")), /^HTTP\/1\.1 200 /);
  t.equal(seen[0], "1.1");
  t.match(await raw(port, "GET / HTTP/1.0\r\nHost: a\r\n\r\n"), / 200 [^]*ok$/);
  t.equal(seen[0], "1.1");

  await t.test("path and query are forwarded as they came", async (t) => {
    for (const target of ["//a", "/a/../b", "/a%2Fb", "/a;b=c", "/%zz", "/?a=b%20c&&d", "/a?"]) {
      await raw(port, get(target));
      t.equal(seen[1], target);
    }
  });

  await t.test("Upgrade: h2c is never passed on; the request is served over HTTP/1.1", async (t) => {
    for (const method of ["GET", "POST"]) {
      const body = method === "POST" ? "Content-Length: 2\r\n" : "";
      const answer = await raw(
        port,
        `${method} /h2c HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n${body}\r\n${method === "POST" ? "hi" : ""}`,
      );
      t.match(answer, /^HTTP\/1\.1 200 [^]*ok$/);
      t.equal(seen[1], "/h2c");
      const names = seen.slice(2).filter((_field, at) => at % 2 === 0);
      for (const name of ["Upgrade", "HTTP2-Settings"]) t.notOk(names.includes(name), `no ${name}`);
      t.notOk(
        seen.some((field) => /h2c/i.test(field) && field !== "/h2c"),
        "nothing names h2c",
      );
    }
  });

  await t.test("CONNECT is refused", async (t) => {
    t.match(
      await raw(port, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
      /^HTTP\/1\.1 502 [^]*client sent unsupported CONNECT request\n$/,
    );
  });
});

test("bodies, interim answers and trailers pass", async (t) => {
  const userPort = await startApp(t, (incoming, outgoing) => {
    outgoing.writeEarlyHints({ link: "</a>; rel=preload" });
    outgoing.setHeader("Trailer", "X-End");
    incoming.pipe(outgoing, { end: false });
    incoming.on("end", () => {
      outgoing.addTrailers({ "X-End": incoming.trailers["x-start"] ?? "none" });
      outgoing.end();
    });
  });
  const { port } = await startSidecar(t, { userPort });
  const outgoing = request({ port, method: "POST", headers: { Expect: "100-continue", Trailer: "X-Start" } });
  const informed: number[] = [];
  outgoing.on("information", ({ statusCode }) => informed.push(statusCode));
  outgoing.once("continue", () => {
    informed.push(100);
    outgoing.addTrailers({ "X-Start": "1" });
    outgoing.end("body");
  });
  outgoing.flushHeaders();
  const [answer] = (await once(outgoing, "response")) as [import("node:http").IncomingMessage];
  let body = "";
  for await (const chunk of answer) body += String(chunk);
  t.equal(body, "body");
  t.strictSame(answer.trailers, { "x-end": "1" });
  t.ok(informed.includes(100) && informed.includes(103), "100 and 103 came");
});

test("a part of an answer without a length is sent on at once", async (t) => {
  let more = (): void => {};
  const userPort = await startApp(t, (_incoming, outgoing) => {
    outgoing.setHeader("Content-Type", "text/event-stream");
    outgoing.write("data: 1\n\n");
    more = () => outgoing.end("data: 2\n\n");
  });
  const { port } = await startSidecar(t, { userPort });
  let released = false;
  const answer = await raw(port, get("/"), (received) => {
    if (released || !received.includes("data: 1")) return;
    released = true;
    more();
  });
  t.match(answer, /data: 1[^]*data: 2/);
});

test("HTTP/2 in is HTTP/2 out, with trailers; gRPC is one request", async (t) => {
  const app = http2.createServer();
  app.on("stream", (stream) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.pipe(stream);
  });
  const userPort = await startApp(t, asApp(app));
  const { port, load } = await startSidecar(t, { userPort, containerConcurrency: 10 });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": "/a.B/C", te: "trailers" });
  const trailers = once(stream, "trailers");
  for (const message of ["ping", "pong"]) {
    stream.write(message);
    const [chunk] = (await once(stream, "data")) as [Buffer];
    t.equal(String(chunk), message, "both directions are open at once");
  }
  t.match(load(), { arrivals: 1, inFlight: 1 });
  stream.end();
  t.match((await trailers)[0], { "grpc-status": "0" });

  await t.test("the settings announced are Knative's", (t) => {
    t.match(session.remoteSettings, {
      maxConcurrentStreams: 250,
      initialWindowSize: 1_048_576,
      maxHeaderListSize: 1_048_896,
    });
    t.end();
  });
});

test("HTTP/2 to an app that only speaks HTTP/1 is a 502: nothing is translated", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const { port } = await startSidecar(t, { userPort });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());
  const stream = session.request({ ":path": "/" });
  const [fields] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
  t.match(fields, { ":status": 502, "swell-error": "app-broke-off" });
});

test("upgrades", async (t) => {
  let seen: string[] = [];
  const userPort = await startApp(
    t,
    upgradingApp((fields) => (seen = fields)),
  );
  const { port } = await startSidecar(t, { userPort });
  for (const token of ["websocket", "echo"])
    await t.test(`${token} is passed through, both ways`, async (t) => {
      const socket = connect(port, "127.0.0.1");
      socket.write(upgradeTo(token));
      const [head] = (await once(socket, "data")) as [Buffer];
      t.match(String(head), new RegExp(`^HTTP/1\\.1 101 Switching Protocols\\r\\n[^]*Upgrade: ${token}\\r\\n`));
      t.ok(seen.includes(token), "the app was asked for it");
      socket.write("hello");
      const [echo] = (await once(socket, "data")) as [Buffer];
      t.equal(String(echo), "hello");
      socket.destroy();
    });

  await t.test("an app that grants another protocol than was asked for is a 502", async (t) => {
    const app = createServer();
    app.on("upgrade", (_incoming, socket) =>
      socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"),
    );
    const { port } = await startSidecar(t, { userPort: await startApp(t, app) });
    t.match(await raw(port, upgradeTo("websocket")), /^HTTP\/1\.1 502 [^]*backend tried to switch protocol/);
  });
});
