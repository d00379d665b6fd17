/**
 * The cluster process: an embedded API server, the workload controllers and a node agent, with the platform installed
 * into it. `npm start` starts it and hears of its progress over the channel between them; it stops on SIGTERM, on
 * SIGINT, and when that channel closes, because a cluster nobody can stop any more with Ctrl-C is only in the way.
 */
import { once } from "node:events";
import { createLogger } from "../process/logger.ts";
import { runCluster, type ClusterInput } from "./cluster.ts";
import type { Progress } from "./progress.ts";

/** Ends the process even if stopping hangs. */
const stopWithinMs = 15_000;

const log = createLogger("local", process.env["SWELL_LOG_LEVEL"] ?? "info");

/** `sent` is called once the message is out, or cannot be. */
function report(progress: Progress, sent: () => void = () => {}): void {
  log.info({ progress }, "progress");
  // The other side may have gone: then there is nobody to tell.
  if (process.connected) process.send?.(progress, undefined, {}, sent);
  else sent();
}

function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const end = (cause: string) => () => {
    if (stop.signal.aborted) return;
    log.info({ cause }, "stopping");
    stop.abort();
    setTimeout(() => {
      log.error("stopping takes too long");
      process.exit(1);
    }, stopWithinMs).unref();
  };
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end(signal));
  process.on("disconnect", end("the command line is gone"));
  return stop.signal;
}

if (process.send === undefined) {
  process.stderr.write("this is the cluster process of a local Swell: npm start starts it\n");
  process.exit(64);
}
const startedMs = Date.now() - Math.round(performance.now());
const stop = stopSignal();
const [input] = (await once(process, "message")) as [ClusterInput];
try {
  await runCluster({ input, startedMs, report: (progress) => report(progress), log }, stop);
  process.exit(0);
} catch (error) {
  log.error({ err: error }, "stopped by an error");
  report({ is: "failed", message: (error as Error).message }, () => process.exit(1));
}
