import { test } from "tap";
import { anyPort, get, raw, startApp, startSidecar, unobserved } from "./fixture.ts";

test("profiles on a port of their own", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end());
  const off = await startSidecar(t, { userPort });
  t.equal(off.profilingPort, undefined, "not unless enabled");
  const { profilingPort } = await startSidecar(t, { userPort, observability: { ...unobserved, profiling: anyPort } });
  const ask = (path: string): Promise<string> => raw(profilingPort!, get(path));
  const bodyOf = (answer: string): Record<string, unknown> => {
    const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
    return JSON.parse(
      body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1).replace(/\r\n[0-9a-f]+\r\n/g, ""),
    ) as Record<string, unknown>;
  };

  t.match(await ask("/debug/pprof/"), /^HTTP\/1\.1 200 [^]*\/debug\/pprof\/profile/);
  t.match(await ask("/debug/pprof/cmdline"), /^HTTP\/1\.1 200 [^]*profiles\.test/);
  t.match(await ask("/debug/pprof/trace"), /^HTTP\/1\.1 404 /);

  await t.test("CPU", async (t) => {
    const answer = await ask("/debug/pprof/profile?seconds=0.1");
    t.match(answer, /filename="queue-proxy\.cpuprofile"/);
    t.match(bodyOf(answer), { nodes: Array, samples: Array, timeDeltas: Array });
  });
  await t.test("heap", async (t) => {
    const answer = await ask("/debug/pprof/heap?seconds=0.1");
    t.match(answer, /filename="queue-proxy\.heapprofile"/);
    t.match(bodyOf(answer), { head: { children: Array } });
  });
  await t.test("one at a time", async (t) => {
    const answers = await Promise.all([
      ask("/debug/pprof/profile?seconds=0.3"),
      ask("/debug/pprof/profile?seconds=0.3"),
    ]);
    t.strictSame(answers.map((answer) => answer.slice(9, 12)).sort(), ["200", "500"]);
  });
});
