import { connect } from "node:net";
import { test } from "tap";
import { raw, startApp, startProxy, startRawApp, to } from "./fixture.ts";

test("every answer that the engine makes itself says so", async (t) => {
  const rows: { name: string; send: string; status: number; code: string }[] = [
    { name: "two lengths", send: post("Content-Length: 1\r\nContent-Length: 2"), status: 400, code: "many-lengths" },
    { name: "no host", send: "GET / HTTP/1.1\r\n\r\n", status: 400, code: "no-host" },
    {
      name: "a request line past its limit",
      send: `GET /${"a".repeat(65 * 1024)} HTTP/1.1\r\n`,
      status: 414,
      code: "line-too-long",
    },
    {
      name: "more fields than are taken",
      send: `GET / HTTP/1.1\r\nHost: a\r\n${"X: 1\r\n".repeat(1000)}\r\n`,
      status: 431,
      code: "too-many-fields",
    },
    { name: "an unknown coding", send: post("Transfer-Encoding: gzip, chunked"), status: 501, code: "unknown-coding" },
    { name: "HTTP/3.0", send: "GET / HTTP/3.0\r\nHost: a\r\n\r\n", status: 505, code: "unsupported-version" },
    { name: "CONNECT", send: "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", status: 502, code: "connect-refused" },
    {
      name: "a chunk that is none",
      send: `${post("Transfer-Encoding: chunked")}zz\r\n`,
      status: 400,
      code: "bad-chunk-size",
    },
    { name: "a handler that fails", send: "GET /fault HTTP/1.1\r\nHost: a\r\n\r\n", status: 500, code: "internal" },
    { name: "an upstream that breaks off", send: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", status: 502, code: "no-answer" },
  ];
  const app = await startRawApp(t, (socket, received) => {
    if (received.startsWith("GET")) socket.destroy();
  });
  const port = await startProxy(t, (exchange) => {
    if (exchange.head.target === "/fault") throw new Error("a fault");
    return exchange.forward(to(app));
  });
  for (const { name, send, status, code } of rows) {
    const answer = await firstAnswer(port, send);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\nswell-error: ${code}\\r\\n`), name);
  }
});

test("an app's own refusals carry no code of ours", async (t) => {
  const app = await startApp(t, (_request, response) => response.writeHead(400).end("mine"));
  const port = await startProxy(t, (exchange) => exchange.forward(to(app)));
  const answer = await raw(port, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  t.match(answer, /^HTTP\/1\.1 400 /);
  t.notMatch(answer, /swell-error/);
});

/** The head of the answer; some of these connections stay open behind it. */
function firstAnswer(port: number, send: string): Promise<string> {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(send));
    socket.on("error", () => {});
    socket.on("close", () => resolve(received));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      if (received.includes("\r\n\r\n")) socket.destroy();
    });
  });
}

function post(fields: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`;
}
