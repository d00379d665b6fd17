import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "tap";
import { configMaps } from "../api/core.ts";
import { isNotFound } from "./client.ts";
import { kubeClientFromEnvironment } from "./config.ts";
import { FakeApiServer } from "./fake-api-server.ts";

test("KUBECONFIG names the server and the token", async (t) => {
  const server = new FakeApiServer();
  await server.start();
  const file = path.join(t.testdir(), "kubeconfig");
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "c",
      clusters: [{ name: "c", cluster: { server: server.url, "insecure-skip-tls-verify": true } }],
      users: [{ name: "u", user: { token: "secret" } }],
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    }),
  );
  const client = await kubeClientFromEnvironment({ KUBECONFIG: file }, "swell-test/1");
  const missing = await client.get(configMaps, "no", "ns").catch((error: unknown) => error);
  t.ok(isNotFound(missing));
  t.match(server.requests[0], {
    path: "/api/v1/namespaces/ns/configmaps/no",
    headers: { authorization: "Bearer secret", "user-agent": "swell-test/1" },
  });
  await client.close();
  await server.stop();
});

test("no configuration at all is a configuration error that says what was looked for", async (t) => {
  await t.rejects(kubeClientFromEnvironment({ KUBECONFIG: "/nowhere" }, "x"), {
    name: "ConfigError",
    message: /KUBECONFIG="\/nowhere": no such file/,
  });
});
