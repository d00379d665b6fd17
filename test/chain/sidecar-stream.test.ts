/** A sidecar's stream against the autoscaler's server: two implementations of the same few frames. */
import { test } from "tap";
import { createServer } from "node:net";
import { RevisionStats } from "../../autoscaler/revision-stats.ts";
import { statsToken } from "../../autoscaler/stats-credentials.ts";
import { createStatsServer } from "../../autoscaler/stats-server.ts";
import { silentLogger } from "../../process/logger.ts";
import { PodState } from "../../proto/gen/stats.ts";
import { podStreams } from "../../queue-proxy/stats-stream.ts";

const signingKey = Buffer.alloc(32, 3);
const key = "default/hello-00001";
const load = (inFlight: number) => ({
  clockMs: 1 + inFlight,
  requestSeconds: 0,
  proxiedRequestSeconds: 0,
  arrivals: inFlight,
  proxiedArrivals: 0,
  inFlight,
  proxiedInFlight: 0,
});

async function scene(t: { teardown(end: () => Promise<void>): void }) {
  const stats = new RevisionStats({
    settings: { stableWindowMs: 60_000, panicWindowMs: 6000, aggregation: "linear" },
    events: { onLoad: () => undefined, onPods: () => undefined },
    nowMs: Date.now,
  });
  const server = createStatsServer({ stats, key: () => signingKey, leading: () => true, log: silentLogger });
  const port = await server.listen("127.0.0.1", 0);
  t.teardown(() => server.close());
  const open = (token: string) => {
    const acknowledged = Promise.withResolvers<number>();
    const ended = Promise.withResolvers<Error>();
    const hello = { namespace: "default", revision: "hello-00001", pod: "pod-1", token, servingPort: 8012, epoch: 1 };
    const stream = podStreams(hello, "127.0.0.77")("127.0.0.1", port, {
      onAcknowledged: (highest) => acknowledged.resolve(highest),
      onDrain: () => undefined,
      onEnd: ended.resolve,
    } as Parameters<ReturnType<typeof podStreams>>[2]);
    return { stream, acknowledged: acknowledged.promise, ended: ended.promise };
  };
  return { stats, server, port, open };
}

const token = statsToken(signingKey, `pod/${key}`);

test("a sidecar is heard, acknowledged, and known by the address it comes from", async (t) => {
  const s = await scene(t);
  const { stream, acknowledged } = s.open(token);
  stream.send(1, "ready", load(3));
  t.equal(await acknowledged, 1);
  t.equal(s.stats.collection(key)?.inFlight, 3);
  t.match(s.stats.pods(key), [{ ip: "127.0.0.77", port: 8012, pod: "pod-1", state: PodState.READY, gone: false }]);
  stream.close();
  while (s.stats.size > 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(s.server.streams.pods, 0, "and forgotten when it goes");
});

test("a sidecar hears why it is not let in, and that it should go elsewhere", async (t) => {
  const s = await scene(t);
  const refused = s.open(statsToken(signingKey, "pod/default/other-00001"));
  t.match((await refused.ended).message, /gRPC status 16: the token is not for this source/);
  t.equal(s.server.refused.token, 1);
  const { stream, acknowledged, ended } = s.open(token);
  stream.send(1, "ready", load(0));
  await acknowledged;
  s.server.endStreams();
  t.match((await ended).message, /gRPC status 14/);
});

test("an address that is taken is told", async (t) => {
  const s = await scene(t);
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const { port } = other.address() as { port: number };
  const second = createStatsServer({ stats: s.stats, key: () => signingKey, leading: () => true, log: silentLogger });
  await t.rejects(second.listen("127.0.0.1", port), { code: "EADDRINUSE" });
  other.close();
  await second.close();
});
