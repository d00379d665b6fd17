import { once } from "node:events";
import { connect } from "node:net";
import { test } from "tap";
import { silentLogger } from "../process/logger.ts";
import { loopback } from "./fixture.ts";
import { createProxyServer } from "./server.ts";

test("a client that ends a connection after an answer is answered with its end", async (t) => {
  const server = createProxyServer({ handler: (exchange) => exchange.answer(200, "done"), log: silentLogger });
  const [port] = await server.listen([loopback]);
  t.teardown(() => server.close(0));
  for (const requests of [1, 2]) {
    // Half open: else the client's own socket would hide that the server keeps its half.
    const client = connect({ port: port!, host: "127.0.0.1", allowHalfOpen: true });
    for (let sent = 0; sent < requests; sent += 1) {
      client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      const [answer] = (await once(client, "data")) as [Buffer];
      t.match(String(answer), "200 OK");
    }
    const ended = once(client, "end");
    client.end();
    await ended;
    t.pass(`after ${requests}`);
  }
});
