/** The autoscaler's process. */
import { kubeClientFromEnvironment } from "../kube/config.ts";
import { runProgram } from "../process/run.ts";
import { parseProcessConfig } from "./config.ts";
import { run } from "./run.ts";

await runProgram({
  component: "autoscaler",
  parse: parseProcessConfig,
  async run(config, log, stop) {
    const client = await kubeClientFromEnvironment(config.env, "swell-autoscaler");
    try {
      await run(client, config, log, stop);
    } finally {
      await client.close();
    }
  },
});
