import { once } from "node:events";
import { connect } from "node:net";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import { loopback } from "./fixture.ts";
import { createProxyServer } from "./server.ts";

test("a server that retires serves on and asks each client for another connection", async (t) => {
  const server = createProxyServer({ handler: (exchange) => exchange.answer(200, "done"), log: silentLogger });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  const kept = connect(port!, "127.0.0.1");
  const ask = async (socket: typeof kept): Promise<string> => {
    socket.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    return String(answer);
  };
  t.notMatch(await ask(kept), "Connection: close");

  server.retire();
  t.match(await ask(kept), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/, "a connection from before");
  await once(kept.resume(), "end");
  const later = connect(port!, "127.0.0.1");
  t.match(await ask(later), /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/, "a new one");
  await once(later.resume(), "end");
});

test("a connection that was made just before the end has its first request answered", async (t) => {
  const server = createProxyServer({ handler: (exchange) => exchange.answer(200, "done"), log: silentLogger });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  const early = connect(port!, "127.0.0.1");
  early.on("error", () => undefined);
  await once(early, "connect");
  // The server takes connections in their order: when this one is answered it has the other, too.
  const later = connect(port!, "127.0.0.1");
  later.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await once(later, "data");

  const closed = server.close(60_000);
  let answer = "";
  early.on("data", (chunk: Buffer) => (answer += String(chunk)));
  early.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  await once(early, "close");
  t.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/);
  await closed;
});
