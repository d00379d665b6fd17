/** Ends the controller while many Services are there: how soon the next one works, and what is written to the others. */
import type { KubeClient } from "../../kube/client.ts";
import { processTree, type Cluster } from "../../test/e2e/cluster.ts";
import { programs } from "../process-accounting.ts";
import { rounded, type Row } from "../report.ts";
import { firstService, type Readiness } from "./creation.ts";
import { totalOf, versionNow, writesSince } from "./writes.ts";

export type How = "kill -9" | "delete the pod";

const deadlineMs = 120_000;
const system = "knative-serving";

export async function restartController(
  cluster: Cluster,
  client: KubeClient,
  readiness: Readiness,
  how: How,
  restMs: number,
): Promise<Row> {
  const name = how === "kill -9" ? "after-kill" : "after-deletion";
  const version = await versionNow(client);
  const startMs = performance.now();
  await end(cluster, how);
  const { readyMs } = await readiness.create(name, startMs, deadlineMs);
  await new Promise((resolve) => setTimeout(resolve, restMs));
  const others = await writesSince(client, version, ({ metadata, ...object }) => {
    const isPlatforms = metadata.namespace === system;
    const isOfEvent = "involvedObject" in object && JSON.stringify(object.involvedObject).includes(system);
    const isOther = ![name, firstService].some((own) => metadata.name?.startsWith(own));
    return !isPlatforms && !isOfEvent && isOther;
  });
  const kinds = [...others].map(([kind, writes]) => `${totalOf(writes)} ${kind}`);
  return {
    scenario: "the controller ends, a new Service is created at once",
    contender: how,
    readyMs: rounded(readyMs, 0),
    writesOfOthers: [...others.values()].reduce((sum, writes) => sum + totalOf(writes), 0),
    ...(kinds.length === 0 ? {} : { of: kinds.join(", ") }),
  };
}

async function end(cluster: Cluster, how: How): Promise<void> {
  if (how === "delete the pod") {
    await cluster.k(`delete pod -n ${system} -l app=controller --wait=false`);
    return;
  }
  for (const [pid, program] of programs(processTree(cluster.clusterPid()).keys()))
    if (program === "controller") process.kill(pid, "SIGKILL");
}
