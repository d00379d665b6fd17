/** What each contender costs before its first request: time until it listens, memory at rest. */
import { setTimeout as pause } from "node:timers/promises";
import { bareNode } from "./contenders/bare-node.ts";
import type { Contender } from "./contenders/contender.ts";
import { streamingQueueProxy } from "./contenders/streaming-queue-proxy.ts";
import { totalMemory } from "./process-accounting.ts";
import { rounded, type Row } from "./report.ts";
import { loadScenarios } from "./scenarios.ts";
import type { Workbench } from "./workbench.ts";

export const startScenario = "start";
export const memoryScenario = "memory-idle";

/** What a program does right after its start (a first garbage collection, lazy imports) is over by then. */
const settleMs = 1500;
const scenario = loadScenarios[0]!;

/** From spawn to the first accepted connection, round by round through all contenders. */
export function measureStart(workbench: Workbench, contenders: readonly Contender[], rounds: number): Promise<Row[]> {
  return eachRound(startScenario, [bareNode, ...contenders], rounds, async (contender) => {
    const startMs = performance.now();
    const running = await workbench.start(contender, scenario);
    const listeningMs = rounded(performance.now() - startMs, 1);
    await running.stop();
    return { listeningMs };
  });
}

export function measureIdleMemory(
  workbench: Workbench,
  contenders: readonly Contender[],
  rounds: number,
): Promise<Row[]> {
  const withStream = contenders.flatMap((contender) =>
    contender.name === "queue-proxy" ? [contender, streamingQueueProxy(workbench.sidecar)] : [contender],
  );
  return eachRound(memoryScenario, [bareNode, ...withStream], rounds, async (contender) => {
    const running = await workbench.start(contender, scenario);
    await pause(settleMs);
    const { rssKiB, anonKiB } = totalMemory(running.pids());
    await running.stop();
    return { rssKiB, anonKiB };
  });
}

/** A contender that fails has a row that says so and is not tried again. */
async function eachRound(
  name: string,
  contenders: readonly Contender[],
  rounds: number,
  figuresOf: (contender: Contender) => Promise<Record<string, number>>,
): Promise<Row[]> {
  const rows: Row[] = [];
  const failed = new Set<Contender>();
  for (let round = 1; round <= rounds; round++)
    for (const contender of contenders.filter((one) => !failed.has(one))) {
      const row = { scenario: name, contender: contender.name, round };
      try {
        rows.push({ ...row, ...(await figuresOf(contender)) });
      } catch (error) {
        failed.add(contender);
        rows.push({ ...row, failed: (error as Error).message });
      }
    }
  return rows;
}
