/** What Services cost each process of the platform, in CPU and memory. */
import { processTree, type Cluster } from "../../test/e2e/cluster.ts";
import { cpuMicros, memory, programs } from "../process-accounting.ts";
import { rounded, type Row } from "../report.ts";

interface Usage {
  cpuMicros: number;
  anonKiB: number;
}

/** Program → what its processes have used. */
export function usage(cluster: Cluster): Map<string, Usage> {
  const clusterPid = cluster.clusterPid();
  const used = new Map<string, Usage>();
  for (const [pid, program] of programs([clusterPid, ...processTree(clusterPid).keys()])) {
    if (program === "queue-proxy") continue; // of the Service that was seen to work
    const sum = used.get(program) ?? { cpuMicros: 0, anonKiB: 0 };
    used.set(program, {
      cpuMicros: sum.cpuMicros + cpuMicros([pid]),
      anonKiB: sum.anonKiB + memory(pid).anonKiB,
    });
  }
  return used;
}

/** Memory includes garbage that was not collected yet. */
export function costPerService(
  before: ReadonlyMap<string, Usage>,
  after: ReadonlyMap<string, Usage>,
  count: number,
): Row[] {
  const scenario = `cost of one Service of ${count}`;
  const rows = [...after].map(([program, { cpuMicros: cpu, anonKiB }]): Row => {
    const start = before.get(program) ?? { cpuMicros: 0, anonKiB: 0 };
    return {
      scenario,
      contender: program,
      cpuMs: rounded((cpu - start.cpuMicros) / 1000 / count, 2),
      anonKiB: rounded((anonKiB - start.anonKiB) / count, 1),
    };
  });
  const sum = (figure: string): number => rounded(rows.reduce((total, row) => total + Number(row[figure]), 0));
  return [...rows, { scenario, contender: "all", cpuMs: sum("cpuMs"), anonKiB: sum("anonKiB") }];
}
