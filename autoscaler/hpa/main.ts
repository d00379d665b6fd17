/** The process that hands PodAutoscalers of the hpa class to Kubernetes' own autoscaler. */
import { kubeClientFromEnvironment } from "../../kube/config.ts";
import { runProgram } from "../../process/run.ts";
import { parseHpaProcessConfig } from "./config.ts";
import { run } from "./run.ts";

await runProgram({
  component: "autoscaler-hpa",
  parse: parseHpaProcessConfig,
  async run(config, log, stop) {
    const client = await kubeClientFromEnvironment(config.env, "swell-autoscaler-hpa");
    try {
      await run(client, config, log, stop);
    } finally {
      await client.close();
    }
  },
});
