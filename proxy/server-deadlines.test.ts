import { once } from "node:events";
import { connect } from "node:net";
import { mock } from "node:test";
import { test } from "tap";
import { get, raw, startProxy } from "./fixture.ts";

test("a connection has a minute for its head, and an idle one all the time", async (t) => {
  let ticks = 0;
  const startMs = performance.now();
  mock.timers.enable({ apis: ["setInterval"] });
  mock.method(performance, "now", () => startMs + ticks * 1000);
  t.teardown(() => mock.reset());
  const port = await startProxy(t, (exchange) => exchange.answer(200, "ok"));
  const keptAlive = get("/").replace("Connection: close\r\n", "");

  for (const { name, before, send } of [
    { name: "nothing came", before: "", send: "" },
    { name: "half a head came", before: "", send: "GET / HTTP/1.1\r\nHost: a" },
    { name: "half of its second head came", before: keptAlive, send: "GET / HTTP/1.1\r\nHost: a" },
  ]) {
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    if (before !== "") {
      socket.write(before);
      await once(socket, "data");
    }
    if (send !== "") socket.write(send);
    // Answered after the server has read what was written before it.
    t.match(await raw(port, get("/")), /ok$/);
    const begun = ticks;
    while (!socket.closed) {
      ticks += 1;
      mock.timers.tick(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.ok(ticks - begun >= 60, name);
  }

  const idle = connect(port, "127.0.0.1");
  idle.write(keptAlive);
  await once(idle, "data");
  ticks += 3600;
  mock.timers.tick(3_600_000);
  idle.write(keptAlive);
  await once(idle, "data");
  idle.destroy();
});
