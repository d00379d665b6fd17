/**
 * Two autoscaler processes in front of the embedded API server, with the activators' and the sidecars' own ends of the
 * stats streams: one is killed under load, and later the other is stopped in order.
 */
import { test } from "tap";
import { Autoscalers } from "../../activator/autoscalers.ts";
import { ConcurrencyReporter } from "../../activator/concurrency-reporter.ts";
import { silentLogger } from "../../process/logger.ts";
import {
  system,
  namespace,
  signingKey,
  addresses,
  type Which,
  buckets,
  start,
  addRevision,
  bringUp,
  runPods,
} from "./autoscaler-pair.ts";

test("a killed autoscaler is replaced, and one that stops hands over", { timeout: 120_000 }, async (t) => {
  const world = await start(t);
  bringUp(world);
  await world.run("a");
  await world.until(t, world.leases, "the first holds all buckets", () => world.count("a") === 4);
  await world.run("b");
  await world.until(t, world.leases, "the second is given half of them", () => world.count("b") === 2);

  /** A revision of the bucket that `which` owns. */
  const named = (prefix: string, which: Which): string => {
    for (let index = 0; ; index++) {
      const name = `${prefix}-${index}-00001`;
      if (world.owners().get(buckets.of(`${namespace}/${name}`)) === which) return name;
    }
  };
  const busy = named("busy", "a");
  const cold = named("cold", "a");
  const later = named("later", "a");
  await addRevision(world, busy, 3);
  for (const name of [cold, later]) await addRevision(world, name, 0);
  const fewest = { replicas: Infinity };
  world.deployments.onChange(({ object }) => {
    if (object.metadata.name === `${busy}-deployment`)
      fewest.replicas = Math.min(fewest.replicas, object.spec.replicas ?? 1);
  });
  // Pods find the owner by way of the one that is not.
  runPods(world, busy, 3, 6, "b");
  // What a Service's address leads to is one of them; the activator hears of the other from it.
  const reporter = new ConcurrencyReporter({
    nowMs: () => performance.now(),
    onUrgent: (loads) => activator.report(loads),
  });
  const connected = new Set<string>();
  const bothUp = Promise.withResolvers<void>();
  const activator = new Autoscalers({
    resolve: async () => [addresses.b],
    port: 8082,
    pod: "activator-1",
    key: () => signingKey,
    reporter,
    onPods(stream) {
      connected.add(stream.split("#")[0]!);
      if (connected.size === 2) bothUp.resolve();
    },
    onDemands: () => undefined,
    onStreamEnded: () => undefined,
    log: silentLogger,
  });
  activator.use(namespace, cold, performance.now());
  void activator.run(world.signal);
  await bothUp.promise;
  t.pass("the activator reports to both");

  const hasWindows = async (which: Which): Promise<boolean> => {
    const decider = await world.decider(which, `${namespace}/${busy}`);
    return decider !== undefined && decider.stable > 12 && decider.desiredPods === 3;
  };
  const poll = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
    // It is another process, which says nothing when it is done.
    while (!(await holds().catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 50));
    t.pass(what);
  };
  await poll("the owner decides on what its pods report", () => hasWindows("a"));

  // From here on it must not.
  fewest.replicas = Infinity;
  await world.end("a", "SIGKILL");
  const killedMs = performance.now();
  const since = (): string => `${Math.round(performance.now() - killedMs)} ms after the kill`;
  const held = reporter.of(namespace, cold);
  for (let request = 0; request < 20; request++) {
    reporter.arrived(held);
    reporter.hold(held);
  }
  await world.until(t, world.deployments, "requests at zero are answered", () => world.replicas(cold) > 0);
  t.comment(`first poke served ${since()}`);
  t.equal(world.replicas(cold), 3, "for all that is held: ceil(20 / 7)");
  await world.until(t, world.leases, "the other owns all", () => world.count("b") === 4);
  t.comment(`all buckets taken ${since()}`);
  await poll("the pods have come, and what runs is kept", () => hasWindows("b"));
  t.comment(`pods' load known ${since()}`);

  await world.run("a");
  await world.until(t, world.leases, "the killed one is back with its part", () => world.count("a") === 2);
  // The one that stops owns the busy revision, or else there would be nothing to see.
  const owner = world.owners().get(buckets.of(`${namespace}/${busy}`))!;
  const next = owner === "a" ? "b" : "a";
  await poll("whoever owns it now knows its windows", () => hasWindows(owner));
  const left = Promise.withResolvers<void>();
  world.configMaps.onChange(({ is, object }) => {
    if (is === "added" && object.metadata.name === `${buckets.of(`${namespace}/${busy}`)}-windows`) left.resolve();
  });
  const stoppedMs = performance.now();
  const stopping = world.end(owner, "SIGTERM");
  await left.promise;
  t.pass("windows are left");
  await world.until(t, world.leases, "the next owner has all", () => world.count(next) === 4);
  t.comment(`all buckets handed over ${Math.round(performance.now() - stoppedMs)} ms after SIGTERM`);
  await stopping;
  await poll("it goes on with the windows it was left", () => hasWindows(next));
  const decisions = (await (
    await fetch(`http://${addresses[next]}:8080/debug/decisions/${namespace}/${busy}`)
  ).json()) as { because: string }[];
  t.notOk(
    decisions.some(({ because }) => because.includes("no data")),
    "at no moment without data",
  );
  await world.until(
    t,
    world.configMaps,
    "and what was left is gone",
    () => !world.configMaps.list(system).some(({ metadata }) => metadata.name?.endsWith("-windows")),
  );
  const second = reporter.of(namespace, later);
  reporter.arrived(second);
  reporter.hold(second);
  await world.until(t, world.deployments, "requests at zero are answered again", () => world.replicas(later) > 0);
  t.ok(fewest.replicas >= 3, "the busy revision never had fewer pods");
  if (!t.passing()) t.comment(world.output);
});
