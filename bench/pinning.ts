/** Which core runs what: a proxy that shares its core with the load generator measures the scheduler. */
import { spawnSync } from "node:child_process";

export interface Cores {
  /** Generator; undefined where nothing is pinned. */
  load: number | undefined;
  /** The app behind the proxies. With two cores it shares the generator's. */
  app: number | undefined;
  proxy: number | undefined;
  about: string;
}

export function chooseCores(): Cores {
  const allowed = allowedCores();
  const [first, second, third] = allowed;
  if (first === undefined || second === undefined) {
    const why = allowed.length === 1 ? "one core" : "taskset is missing (apt-get install util-linux)";
    return { load: undefined, app: undefined, proxy: undefined, about: `not pinned: ${why}` };
  }
  const [load, app, proxy] = third === undefined ? [first, first, second] : [first, second, third];
  const about = app === load ? `generator and app on core ${load}, proxy on core ${proxy}` : undefined;
  return { load, app, proxy, about: about ?? `generator on core ${load}, app on core ${app}, proxy on core ${proxy}` };
}

/** The cores this process may use; empty without taskset. */
function allowedCores(): number[] {
  const found = spawnSync("taskset", ["-cp", String(process.pid)], { encoding: "utf8" });
  const list = /list: (\S+)/.exec(found.stdout ?? "")?.[1];
  if (list === undefined) return [];
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, index) => from + index);
  });
}

/** The command that runs `command` on `core`; taskset becomes the command, so the pid is the program's own. */
export function pinned(core: number | undefined, command: readonly string[]): [string, string[]] {
  const [program = "", ...args] = core === undefined ? command : ["taskset", "-c", String(core), ...command];
  return [program, args];
}

/** Moves this process with all its threads. */
export function pinSelf(core: number | undefined): void {
  if (core !== undefined) spawnSync("taskset", ["-acp", String(core), String(process.pid)]);
}
