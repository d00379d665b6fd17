/**
 * The platform's own programs end while a revision is rolled out and requests go on: with notice no request fails,
 * without it (SIGKILL) only what was inside, and the state converges either way.
 */
import { test, type Test } from "tap";
import type { KService } from "../../api/serving.ts";
import {
  available,
  deleteProgram,
  killProgram,
  rollOut,
  runFault,
  settled,
  system,
  type FaultContext,
  type FaultKind,
} from "../../bench/soak/faults.ts";
import { Ledger, sentence } from "../../bench/soak/ledger.ts";
import { Random } from "../../bench/soak/random.ts";
import { addImage, apply, runLoad, services } from "../../bench/soak/services.ts";
import { Cluster, has } from "./cluster.ts";

const programs = ["controller", "webhook", "autoscaler", "activator"] as const;
const loaded = services.filter(({ name }) => name === "echo" || name === "stream");

if (!has("kubectl")) {
  test("restart", { skip: "kubectl is not on PATH" }, (t) => t.end());
} else {
  await using cluster = new Cluster();
  await cluster.start("--no-sample");
  addImage(cluster.data);
  await cluster.k(`scale deploy activator -n ${system} --replicas=2`);
  for (const service of loaded) await apply(cluster, service, 0);
  const versions = new Map<string, number>();
  const contextOf = (ledger: Ledger): FaultContext => ({ cluster, ledger, random: new Random(1), versions });
  await settled(contextOf(new Ledger(() => performance.now())));
  await available(cluster, "activator");

  await test("terminated in turn during a rolling update: no request fails", (t) =>
    inTurn(t, contextOf, (name) => ({
      name: `delete ${name}`,
      killed: false,
      run: (context) => deleteProgram(context, name),
    })));
  await test("killed in turn during a rolling update: only what was inside fails", (t) =>
    inTurn(t, contextOf, (name) => ({
      name: `kill -9 ${name}`,
      killed: true,
      run: (context, fault) => killProgram(context, fault, name),
    })));
}

async function inTurn(
  t: Test,
  contextOf: (ledger: Ledger) => FaultContext,
  faultOf: (program: string) => FaultKind,
): Promise<void> {
  const ledger = new Ledger(() => performance.now());
  const context = contextOf(ledger);
  const stop = new AbortController();
  const of = new Set(loaded.map(({ name }) => name));
  const load = runLoad({ port: context.cluster.gatewayPort, ledger, random: new Random(2), of }, stop.signal);
  try {
    for (const [index, program] of programs.entries()) {
      const service = loaded[index % loaded.length]!;
      // The rollout is under way while the program ends, and completes all the same.
      const ended = await rollOut(context, service);
      await runFault(context, faultOf(program));
      await ended();
      await settled(context);
    }
  } finally {
    stop.abort();
    await load;
  }
  t.same(ledger.failures.filter(({ inFlight }) => !inFlight).map(sentence), []);
  for (const [kind, { requests }] of ledger.tallies) t.ok(requests > 0, `${requests} ${kind}`);
  for (const { name } of loaded) {
    const { status } = JSON.parse(await context.cluster.k(`get ksvc ${name} -o json`)) as KService;
    const version = (context.versions.get(name) ?? 0) + 1;
    t.equal(status?.traffic?.[0]?.revisionName, `${name}-${String(version).padStart(5, "0")}`, "the state converges");
  }
}
