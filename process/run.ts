/** What every main does: configuration, one logger, a stop signal, one line and a distinct exit code on failure. */
import { ConfigError, type Env } from "./env.ts";
import { createLogger, type Logger } from "./logger.ts";
import { stopSignal } from "./stop-signal.ts";

/** sysexits.h EX_CONFIG: the configuration is wrong, restarting will not help. */
const exitConfig = 64;

export interface Program<C> {
  component: string;
  /** Throws {@link ConfigError} before any port is bound. */
  parse: (env: Env) => C;
  /** Resolves when the process has drained after `stop`. */
  run: (config: C, log: Logger, stop: AbortSignal) => Promise<void>;
}

export async function runProgram<C>(program: Program<C>): Promise<never> {
  const log = createLogger(program.component, process.env["SWELL_LOG_LEVEL"] ?? "info");
  try {
    const config = program.parse(process.env);
    await program.run(config, log, stopSignal());
  } catch (error) {
    if (error instanceof ConfigError) {
      process.stderr.write(`${program.component}: ${error.message}\n`);
      process.exit(exitConfig);
    }
    log.error({ err: error }, "stopped by an error");
    process.exit(1);
  }
  process.exit(0);
}
