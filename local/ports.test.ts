import { test } from "tap";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Pod, Service } from "../api/core.ts";
import { envReader } from "../process/env.ts";
import { listenAddresses } from "../process/listen.ts";
import { FolderInUseError, lockFolder } from "./data-folder.ts";
import { startProcess, type ContainerProcess } from "./node/container-process.ts";
import { claimPodNetwork, firstInherited, gatewayPort, publishPorts } from "./ports.ts";

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

test("the gateway's ports are published by its pods and no others", async (t) => {
  const port = await gatewayPort(0);
  const published = publishPorts({ gateway: port, plain: false });
  t.teardown(() => published.close());
  const { text = "", sockets = [] } = published.listen(pod("knative-serving", "activator"), [gateway]) ?? {};
  const read = envReader({});
  const addresses = listenAddresses(read, { SWELL_HOST_LISTEN: text }, 8080).slice(1);
  t.same(read.problems, []);
  t.same(
    addresses.map(({ host, port, optional }) => [host, port, optional]),
    [
      ["127.0.0.1", port, false],
      ["::1", port, true],
    ],
  );
  t.equal(addresses[0]?.fd, firstInherited);
  t.ok((sockets[0] ?? -1) > 2);
  t.equal(published.listen(pod("knative-serving", "controller"), [gateway]), undefined);
  t.equal(published.listen(pod("default", "activator"), [gateway]), undefined);
  t.equal(published.listen(pod("knative-serving", "activator"), []), undefined);
});

test("an address that somebody else has is left to the pods, which say so", async (t) => {
  const server = createServer();
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const published = publishPorts({ gateway: port, plain: false });
  t.teardown(() => published.close());
  const { text } = published.listen(pod("knative-serving", "activator"), [gateway])!;
  t.match(text, new RegExp(`^8080=127.0.0.1:${port},`));
});

/** Greets each connection with its name. */
const greeter = `
const { listen, listenAddresses } = await import(process.env.LISTEN_MODULE);
const { createServer } = await import("node:net");
const server = createServer((socket) => socket.end(process.env.NAME));
const [, address] = listenAddresses({ problems: [] }, process.env, 8080);
await listen(server, address);
console.log("listening");
`;

test("a connection that no pod of the gateway has taken waits for the next one", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-ports-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const port = await gatewayPort(0);
  const published = publishPorts({ gateway: port, plain: false });
  t.teardown(() => published.close());
  const { text, sockets } = published.listen(pod("knative-serving", "activator"), [gateway])!;
  const start = async (name: string): Promise<ContainerProcess> => {
    const file = path.join(folder, name);
    const output = openSync(file, "w");
    const LISTEN_MODULE = path.resolve(import.meta.dirname, "../process/listen.ts");
    const child = await startProcess({
      command: [process.execPath, "--input-type=module", "-e", greeter],
      env: { NAME: name, SWELL_HOST_LISTEN: text, LISTEN_MODULE },
      directory: folder,
      output,
      inherited: sockets,
    });
    t.teardown(() => child.signal("SIGKILL"));
    closeSync(output);
    return child;
  };
  const greeting = async (): Promise<string> => {
    let heard = "";
    for await (const chunk of connect({ host: "127.0.0.1", port })) heard += String(chunk);
    return heard;
  };

  const first = await start("first");
  // Refused until somebody has listened for the first time.
  let heard = "";
  while (heard === "") heard = await greeting().catch(() => "");
  t.equal(heard, "first");
  first.signal("SIGKILL");
  await first.exited;
  const waiting = greeting();
  await start("second");
  t.equal(await waiting, "second");
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
