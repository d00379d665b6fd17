import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { test, type Test } from "tap";
import { Peers } from "./peers.ts";

/** A process that listens, until it is killed. */
async function listen(port = 0): Promise<{ server: Server; port: number; sockets: Set<Socket>; kill(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    server,
    port: (server.address() as AddressInfo).port,
    sockets,
    kill() {
      server.close();
      for (const socket of sockets) socket.resetAndDestroy();
    },
  };
}

async function until(t: Test, peers: Peers, holds: () => boolean): Promise<void> {
  while (!holds()) {
    const changed = Promise.withResolvers<void>();
    const stop = peers.onChange(changed.resolve);
    await changed.promise;
    stop();
  }
  t.pass("noticed");
}

test("a peer that is killed is dead at once, and alive again when it is back", async (t) => {
  const process = await listen();
  const peers = new Peers({ port: process.port, localAddress: undefined });
  t.teardown(() => peers.close());
  peers.watch(["127.0.0.1"]);
  await until(t, peers, () => peers.isAlive("127.0.0.1"));
  process.kill();
  await until(t, peers, () => peers.isDead("127.0.0.1"));
  const again = await listen(process.port);
  await until(t, peers, () => peers.isAlive("127.0.0.1"));
  again.kill();
  await until(t, peers, () => peers.isDead("127.0.0.1"));
});

test("a connection that merely ends is no death", async (t) => {
  const process = await listen();
  const peers = new Peers({ port: process.port, localAddress: undefined });
  t.teardown(() => {
    peers.close();
    process.kill();
  });
  peers.watch(["127.0.0.1"]);
  await until(t, peers, () => peers.isAlive("127.0.0.1"));
  const connected = once(process.server, "connection");
  for (const socket of process.sockets) socket.end();
  await connected;
  t.equal(peers.isDead("127.0.0.1"), false);
});

test("an address that has never answered is not called dead for refusing", async (t) => {
  const process = await listen();
  process.kill();
  await once(process.server, "close");
  const peers = new Peers({ port: process.port, localAddress: undefined });
  t.teardown(() => peers.close());
  const heard: boolean[] = [];
  peers.onChange(() => heard.push(peers.isDead("127.0.0.1")));
  peers.watch(["127.0.0.1"]);
  // A connection of ours that is refused later than the peer's own was.
  const [refusal] = (await once(connect(process.port, "127.0.0.1"), "error")) as [NodeJS.ErrnoException];
  t.equal(refusal.code, "ECONNREFUSED");
  const again = await listen(process.port);
  t.teardown(() => again.kill());
  await until(t, peers, () => peers.isAlive("127.0.0.1"));
  t.notOk(heard.includes(true));
});
