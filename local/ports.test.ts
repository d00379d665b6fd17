import { test } from "tap";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Pod, Service } from "../api/core.ts";
import { envReader } from "../process/env.ts";
import { listenAddresses } from "../process/listen.ts";
import { FolderInUseError, lockFolder } from "./data-folder.ts";
import { claimPodNetwork, gatewayPort, hostListen } from "./ports.ts";

test("gatewayPort names the port that is in use and the flag that changes it", async (t) => {
  // A gateway shares its port with its successors; that must not look like a free port.
  const server = createServer();
  server.listen({ host: "127.0.0.1", port: 0, reusePort: true });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await t.rejects(gatewayPort(port), { message: new RegExp(`^port ${port} is in use: .*--gateway-port$`) });
  server.close();
  await once(server, "close");
  t.equal(await gatewayPort(port), port);
  t.ok((await gatewayPort(0)) > 0);
});

test("a folder's pod network is its own while its cluster runs, and the same the next time", async (t) => {
  const first = await claimPodNetwork("/a");
  const second = await claimPodNetwork("/a");
  t.match(first.prefix, /^127\.\d+$/);
  t.not(second.prefix, first.prefix, "somebody holds it");
  first.release();
  second.release();
  const again = await claimPodNetwork("/a");
  t.equal(again.prefix, first.prefix);
  again.release();
});

const gateway: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "gateway", namespace: "knative-serving" },
  spec: { type: "LoadBalancer", selector: { app: "activator" } },
};
const pod = (namespace: string, app: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace, labels: { app } },
  spec: { containers: [] },
});

test("hostListen publishes the gateway's pods and no others", async (t) => {
  const listen = hostListen({ gateway: 8090, plain: true });
  const text = listen(pod("knative-serving", "activator"), [gateway]);
  const read = envReader({});
  const addresses = listenAddresses(read, { SWELL_HOST_LISTEN: text }, 8080).slice(1);
  t.same(read.problems, []);
  t.same(
    addresses.map(({ host, port, optional }) => [host, port, optional]),
    [
      ["127.0.0.1", 8090, false],
      ["::1", 8090, true],
      ["127.0.0.1", 80, true],
      ["::1", 80, true],
    ],
  );
  t.notMatch(hostListen({ gateway: 8090, plain: false })(pod("knative-serving", "activator"), [gateway]), /:80\?/);
  t.equal(listen(pod("knative-serving", "controller"), [gateway]), "");
  t.equal(listen(pod("default", "activator"), [gateway]), "");
  t.equal(listen(pod("knative-serving", "activator"), []), "");
});

test("a data folder has one cluster, and says which", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-lock-"));
  const lock = lockFolder(folder);
  lock.describe({ pid: 4711, gateway: "http://127.0.0.1:8080" });
  t.throws(() => lockFolder(folder), {
    name: "FolderInUseError",
    message: /pid 4711, gateway http:\/\/127.0.0.1:8080/,
  });
  t.throws(() => lockFolder(folder), FolderInUseError, "a refused start does not free it");
  lock.release();
  lockFolder(folder).release();
  rmSync(folder, { recursive: true });
});
