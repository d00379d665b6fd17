import { Registry } from "prom-client";
import { test } from "tap";
import { silentLogger } from "./logger.ts";
import { startAdminServer } from "./metrics-server.ts";

test("the admin server", async (t) => {
  let problem: string | undefined;
  const server = await startAdminServer({
    port: 0,
    env: { SWELL_BIND_ADDRESS: "127.0.0.1" },
    log: silentLogger,
    register: new Registry(),
    readiness: () => problem,
    debug: { echo: (rest, query) => (rest[0] === "none" ? undefined : { rest, query }) },
  });
  t.teardown(() => server.close());
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { headers });
    return { status: response.status, body: await response.text() };
  };

  t.equal((await get("/health")).status, 200, "is healthy");
  t.equal((await get("/metrics")).status, 200, "serves metrics");
  t.same(JSON.parse((await get("/debug/echo/ns/na%6De?x=1")).body), { rest: ["ns", "name"], query: { x: "1" } });
  t.equal((await get("/debug/echo/none")).status, 404, "a debug route may find nothing");
  t.equal((await get("/anything")).status, 404);
  t.equal((await get("/anything", { "user-agent": "kube-probe/1.36" })).status, 200, "answers a kubelet on any path");
  problem = "not yet";
  t.same(await get("/readiness"), { status: 503, body: "not yet" });
  t.equal((await get("/", { "user-agent": "kube-probe/1.36" })).status, 503);
  t.equal((await get("/health")).status, 200, "health is not readiness");
});
