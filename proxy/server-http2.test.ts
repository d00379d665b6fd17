import { once } from "node:events";
import http2 from "node:http2";
import { test } from "tap";
import type { Exchange } from "./exchange.ts";
import { get, raw, startApp, startProxy, startServer, textOf, to } from "./fixture.ts";

test("HTTP/2 and gRPC-like streams", async (t) => {
  const app = http2.createServer();
  app.on("stream", (stream, headers) => {
    stream.respond(
      { ":status": 200, "content-type": "application/grpc", "x-te": String(headers["te"]) },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () =>
      stream.sendTrailers({ "grpc-status": "0", "x-authority": String(headers[":authority"]) }),
    );
    stream.pipe(stream);
  });
  const appPort = await startServer(t, app);
  const handlers: Exchange[] = [];
  const port = await startProxy(t, (exchange) => {
    handlers.push(exchange);
    return exchange.forward(to(appPort, exchange.head.httpVersion === "2.0" ? "h2c" : "http1"));
  });
  const session = http2.connect(`http://127.0.0.1:${port}`);
  t.teardown(() => session.destroy());

  await t.test("messages go both ways before either side ends, trailers come last", async (t) => {
    const stream = session.request({
      ":method": "POST",
      ":path": "/svc/Method",
      ":authority": "grpc.example",
      te: "trailers",
    });
    stream.write("one");
    const [headers] = await once(stream, "response");
    t.match(headers, { ":status": 200, "x-te": "trailers", "content-type": "application/grpc" });
    let [chunk] = await once(stream, "data");
    t.equal(String(chunk), "one");
    stream.write("two");
    [chunk] = await once(stream, "data");
    t.equal(String(chunk), "two");
    const trailers = once(stream, "trailers");
    stream.end();
    t.match((await trailers)[0], { "grpc-status": "0", "x-authority": "grpc.example" });
    t.equal(handlers.at(-1)!.head.host, "grpc.example");
  });

  await t.test("a cancelled stream cancels the app's", async (t) => {
    const cancelled = new Promise((resolve) =>
      app.once("stream", (stream) => stream.once("close", () => resolve(stream.rstCode))),
    );
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("error", () => {});
    stream.write("x");
    await once(stream, "response");
    const ended = new Promise((resolve) => handlers.at(-1)!.onEnd(resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    t.equal(await ended, "client-gone");
    t.equal(await cancelled, http2.constants.NGHTTP2_CANCEL);
  });

  await t.test("an app that speaks only HTTP/1.1 is a 502", async (t) => {
    const http1Port = await startApp(t, (_incoming, outgoing) => outgoing.end("no"));
    const frontPort = await startProxy(t, (exchange) => exchange.forward(to(http1Port, "h2c")));
    t.match(await raw(frontPort, get("/")), /^HTTP\/1\.1 502 /);
  });

  await t.test("an HTTP/1.1 client can be sent on as h2c", async (t) => {
    const frontPort = await startProxy(t, (exchange) => exchange.forward(to(appPort, "h2c")));
    const answer = await raw(frontPort, get("/", "Content-Length: 5\r\n").replace("GET", "POST") + "hello");
    t.match(
      answer,
      /^HTTP\/1\.1 200 OK\r\n[^]*5\r\nhello\r\n0\r\ngrpc-status: 0\r\nx-authority: app\.example\r\n\r\n$/,
    );
  });

  await t.test("an HTTP/2 client can be sent on as HTTP/1.1", async (t) => {
    const http1Port = await startApp(t, async (incoming, outgoing) => {
      outgoing.end(
        `${incoming.httpVersion} ${incoming.headers.host} ${incoming.headers.cookie} ${await textOf(incoming)}`,
      );
    });
    const frontPort = await startProxy(t, (exchange) => exchange.forward(to(http1Port)));
    const front = http2.connect(`http://127.0.0.1:${frontPort}`);
    t.teardown(() => front.destroy());
    const stream = front.request({
      ":method": "POST",
      ":path": "/",
      ":authority": "h2.example",
      cookie: ["a=1", "b=2"],
    });
    stream.end("body");
    let text = "";
    for await (const chunk of stream) text += String(chunk);
    t.equal(text, "1.1 h2.example a=1; b=2 body");
  });

  await t.test("a call that is refused without a body keeps its status in the head, as gRPC wants it", async (t) => {
    const refusing = http2.createServer();
    refusing.on("stream", (stream) =>
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true }),
    );
    const refusingPort = await startServer(t, refusing);
    const frontPort = await startProxy(t, (exchange) => exchange.forward(to(refusingPort, "h2c")));
    const front = http2.connect(`http://127.0.0.1:${frontPort}`);
    t.teardown(() => front.destroy());
    const stream = front.request({ ":method": "POST", ":path": "/a.B/C" });
    stream.end("x");
    const [headers, flags] = await once(stream, "response");
    t.match(headers, { "grpc-status": "12" });
    t.ok(flags & 0x1, "END_STREAM");
  });

  await t.test("an app that resets half-way does not look as if it had ended", async (t) => {
    for (const code of [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_INTERNAL_ERROR]) {
      // With trailers to come node:http2 resets without ending the stream first.
      const resetting = http2.createServer();
      resetting.on("stream", (stream) => {
        stream.on("error", () => {});
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.write("half", () => stream.close(code));
      });
      const resettingPort = await startServer(t, resetting);
      const ends: string[] = [];
      const frontPort = await startProxy(t, (exchange) => {
        exchange.onEnd((end) => ends.push(end));
        return exchange.forward(to(resettingPort, "h2c"));
      });
      t.notMatch(await raw(frontPort, get("/")), /\r\n0\r\n\r\n$/);
      t.strictSame(ends, ["failed"]);
    }
  });

  await t.test("a client that breaks off its body does not look as if it had sent it whole", async (t) => {
    for (const protocol of ["http1", "h2c"] as const) {
      const whole: string[] = [];
      const arrived = Promise.withResolvers<void>();
      const over = Promise.withResolvers<void>();
      const onStream = (stream: http2.ServerHttp2Stream): void => {
        stream.on("error", () => {});
        stream.once("data", () => arrived.resolve());
        stream.on("end", () => stream.rstCode === 0 && whole.push(protocol));
        stream.once("close", () => over.resolve());
      };
      const appPort =
        protocol === "h2c"
          ? await startServer(t, http2.createServer().on("stream", onStream))
          : await startApp(t, (incoming, outgoing) => {
              incoming.once("data", () => arrived.resolve());
              incoming.on("end", () => whole.push(protocol));
              outgoing.once("close", () => over.resolve());
            });
      const frontPort = await startProxy(t, (exchange) => exchange.forward(to(appPort, protocol)));
      const front = http2.connect(`http://127.0.0.1:${frontPort}`);
      t.teardown(() => front.destroy());
      const stream = front.request({ ":method": "POST", ":path": "/" });
      stream.on("error", () => {});
      stream.write("half");
      await arrived.promise;
      stream.destroy(new Error("gone"));
      await over.promise;
      t.strictSame(whole, []);
    }
  });

  await t.test("an HTTP/2 client sees that a response was broken off", async (t) => {
    const half = await startApp(t, (_incoming, outgoing) => outgoing.write("half"));
    const frontPort = await startProxy(t, (exchange) => {
      exchange.onResponseStart(() => setImmediate(() => exchange.fail(504, "request timeout")));
      return exchange.forward(to(half));
    });
    const front = http2.connect(`http://127.0.0.1:${frontPort}`);
    t.teardown(() => front.destroy());
    const stream = front.request({ ":path": "/" });
    stream.resume();
    const [error] = await once(stream, "error");
    t.match(String(error), /NGHTTP2_INTERNAL_ERROR/);
  });
});
