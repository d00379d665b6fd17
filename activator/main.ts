/**
 * The gateway and the activator, two doors of one process: environment → configuration → watches and servers → serve
 * until SIGTERM → drain.
 */
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { runProgram } from "../process/run.ts";
import { parseConfig } from "./config.ts";
import { start } from "./run.ts";

await runProgram({
  component: "activator",
  parse: parseConfig,
  run: async (config, log, stop) => {
    const client = await kubeClientFromEnvironment(config.env, "swell-activator");
    const { finished } = await start(config, client, log, stop);
    await finished;
  },
});
