/** What one pod's connection costs the autoscaler in memory: separate connections, one stream on each. */
import { setTimeout as pause } from "node:timers/promises";
import { memory } from "../process-accounting.ts";
import { quantile, rounded, type Row } from "../report.ts";
import { Fleet } from "./fleet.ts";
import { Stage, type StageOptions } from "./stage.ts";

/** Garbage of the opening is collected meanwhile. */
const settleMs = 5000;
const podsPerRevision = 10;
/** Opened before: what the process needs for any number of them is there then, room for garbage above all. */
const warmConnections = 1000;

interface Cost {
  /** Of all the process, as the system counts it; room for garbage makes it swing. */
  anonKiB: number;
  /** JavaScript objects that are used. */
  liveKiB: number;
}

export async function measureConnections(
  options: StageOptions & { connections: number; rounds: number },
): Promise<Row[]> {
  const each: Cost[] = [];
  for (let round = 0; round < options.rounds; round++) each.push(await onePass(options));
  const of = (figure: keyof Cost): number[] => each.map((one) => one[figure] / options.connections);
  const spread = (values: number[]): string => `${rounded(Math.min(...values))}-${rounded(Math.max(...values))}`;
  return [
    {
      scenario: `memory of each of ${options.connections} separate connections`,
      contender: "autoscaler",
      liveHeapKiB: rounded(quantile(of("liveKiB"), 0.5)),
      liveHeapSpread: spread(of("liveKiB")),
      anonKiB: rounded(quantile(of("anonKiB"), 0.5)),
      anonSpread: spread(of("anonKiB")),
    },
  ];
}

async function onePass(options: StageOptions & { connections: number }): Promise<Cost> {
  const all = warmConnections + options.connections;
  const running = Math.ceil(all / podsPerRevision);
  await using stage = await Stage.open({ running, podsPerRevision, atZero: 0 }, { ...options, inspected: true });
  const { autoscaler } = stage;
  const fleets = [new Fleet(), new Fleet()] as const;
  const open = async (fleet: Fleet, from: number, to: number): Promise<Cost> => {
    const { host, statsPort: port } = autoscaler;
    await fleet.ask({ is: "open", host, port, key: options.key, from, to, podsPerRevision, podsPerLink: 1 });
    await fleet.ask({ is: "start" });
    await pause(settleMs);
    const liveKiB = await autoscaler.liveHeapKiB();
    return { anonKiB: memory(autoscaler.pid).anonKiB, liveKiB };
  };
  try {
    const before = await open(fleets[0], 0, warmConnections);
    const after = await open(fleets[1], warmConnections, all);
    const metrics = await autoscaler.metrics();
    const streams = metrics.get('swell_autoscaler_streams{source="pod"}');
    if (streams !== all) throw new Error(`${streams} streams instead of ${all}`);
    return { anonKiB: after.anonKiB - before.anonKiB, liveKiB: after.liveKiB - before.liveKiB };
  } finally {
    for (const fleet of fleets) fleet.stop();
  }
}
