/** An API server with a population, the autoscaler in front of it, and what ends both. */
import { configMaps, secrets, type Secret } from "../../api/core.ts";
import { defaultSystemNamespace, statsTokenSecret } from "../../api/keys.ts";
import { BenchApiServer } from "./api-server.ts";
import { AutoscalerProcess } from "./autoscaler-process.ts";
import { objectsOf, podJson, podResource, type Population } from "./population.ts";

export interface StageOptions {
  bundle: string;
  folder: string;
  /** Signs tokens. */
  key: Buffer;
  /** Its heap can be looked at. */
  inspected?: boolean;
}

export class Stage {
  readonly api: BenchApiServer;
  readonly autoscaler: AutoscalerProcess;

  private constructor(api: BenchApiServer, autoscaler: AutoscalerProcess) {
    this.api = api;
    this.autoscaler = autoscaler;
  }

  /** Resolves when every revision has its decider. */
  static async open(population: Population, { bundle, folder, key, inspected = false }: StageOptions): Promise<Stage> {
    const api = new BenchApiServer();
    const url = await api.start();
    for (const [resource, objects] of objectsOf(population, Date.now() - 3_600_000))
      for (const object of objects) api.put(resource, object);
    api.fix(podResource, () => podJson(population));
    const metadata = { namespace: defaultSystemNamespace };
    api.put(configMaps, { apiVersion: "v1", kind: "ConfigMap", metadata: { ...metadata, name: "config-autoscaler" } });
    const secret: Secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { ...metadata, name: statsTokenSecret },
      data: { key: key.toString("base64") },
    };
    api.put(secrets, secret);
    const autoscaler = new AutoscalerProcess(bundle, url, folder, inspected);
    const stage = new Stage(api, autoscaler);
    try {
      await autoscaler.leads(population.running + population.atZero);
    } catch (error) {
      await stage[Symbol.asyncDispose]();
      throw error;
    }
    return stage;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.autoscaler.stop();
    this.api.stop();
  }
}
