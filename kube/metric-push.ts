/** Lets a process push its metrics as ConfigMap `config-observability` says, for as long as the informer runs. */
import type { ConfigMap } from "../api/core.ts";
import { parseMetricsPush } from "../api/metrics-export.ts";
import type { Logger } from "../process/logger.ts";
import type { MetricPush } from "../process/otlp/metric-push.ts";
import type { Informer } from "./informer.ts";

const configMap = "config-observability";

/** A change that cannot be read leaves things as they are. */
export function followObservability(
  push: MetricPush,
  { configMaps, namespace, log }: { configMaps: Informer<ConfigMap>; namespace: string; log: Logger },
): void {
  configMaps.onChange(({ is, object }) => {
    if (object.metadata.name !== configMap || object.metadata.namespace !== namespace || is === "deleted") return;
    try {
      push.follow(parseMetricsPush(object.data));
    } catch (error) {
      log.warn({ err: error, configMap }, "a bad configuration is ignored, the last good one stays");
    }
  });
}
