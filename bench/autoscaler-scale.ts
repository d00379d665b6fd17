/** The autoscaler as revisions and pods grow tenfold: CPU, memory, and how soon a burst is answered. */
import { mkdtempSync, rmSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import path from "node:path";
import { bundle } from "../process/bundle.ts";
import { measureConnections } from "./autoscaler/connections.ts";
import { measureScale } from "./autoscaler/scale-cell.ts";
import { chooseCores } from "./pinning.ts";
import type { Options, Outcome, Row } from "./report.ts";

/** Of one stage: revisions with pods, pods, revisions without. */
const stages = [
  { running: 100, pods: 1000, atZero: 20 },
  { running: 1000, pods: 10_000, atZero: 20 },
  { running: 10_000, pods: 100_000, atZero: 20 },
] as const;
const atZero = { running: 1, pods: 10, atZero: 10_000 };
const separateConnections = 2000;

export async function autoscalerScale(options: Options): Promise<Outcome> {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-bench-"));
  const key = randomBytes(32);
  const seconds = options.quick ? 10 : 60;
  const rows: Row[] = [];
  const notes = [chooseCores().about.replace("generator and app", "pods").replace("proxy", "autoscaler")];
  try {
    const { autoscaler } = await bundle(path.join(folder, "dist"));
    const own = options.revisions !== undefined || options.pods !== undefined;
    const running = options.revisions ?? 1000;
    const cells = own
      ? [{ running, pods: options.pods ?? 10 * running, atZero: 20 }]
      : [...(options.quick ? stages.slice(0, 2) : stages), atZero];
    for (const [index, cell] of cells.entries()) {
      console.log(`  ${cell.running} revisions, ${cell.pods} pods, ${cell.atZero} revisions at zero`);
      const measured = await measureScale({
        ...cell,
        bundle: autoscaler!,
        folder: path.join(folder, `cell-${index}`),
        key,
        seconds,
        bursts: options.quick ? 10 : 20,
      });
      rows.push(measured.row);
      notes.push(...measured.notes);
    }
    const connections = options.connections ?? separateConnections;
    console.log(`  ${connections} separate connections`);
    rows.push(
      ...(await measureConnections({
        bundle: autoscaler!,
        folder: path.join(folder, "connections"),
        key,
        connections,
        rounds: options.rounds ?? (options.quick ? 1 : 3),
      })),
    );
    return { rows, notes, failed: rows.some((row) => row["failed"] !== undefined) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
