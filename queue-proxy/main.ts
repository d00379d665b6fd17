/**
 * The sidecar of every revision pod: environment → configuration → servers → serve until SIGTERM → drain.
 * What process/run.ts does for the other programs is done here without its logger, see log.ts.
 */
import { ConfigError } from "../process/env.ts";
import { stopSignal } from "../process/stop-signal.ts";
import { parseConfig, type QueueProxyConfig } from "./config.ts";
import { createLog, type Log } from "./log.ts";
import { start } from "./run.ts";

/** sysexits.h EX_CONFIG: the configuration is wrong, restarting will not help. */
const exitConfig = 64;

// V8's young generation grows under load to where this process takes 160 MiB for what lives in 7; kept at its first size
// it takes 60 at no measurable cost. One runs in every pod.
process.getBuiltinModule("node:v8").setFlagsFromString("--semi-space-growth-factor=1");

const stop = stopSignal();
const config = configOrExit();
const log: Log = createLog("queue-proxy", process.env["SWELL_LOG_LEVEL"] ?? config.logLevel);
try {
  const { finished } = await start(config, log, stop, process.env);
  await finished;
} catch (error) {
  log.error({ err: error }, "stopped by an error");
  process.exit(1);
}
process.exit(0);

function configOrExit(): QueueProxyConfig {
  try {
    return parseConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`queue-proxy: ${error.message}\n`);
    return process.exit(exitConfig);
  }
}
