/** A ConfigMap as it stands: parsed once per change, the last good one kept when a change is bad. */
import type { ConfigMap } from "../api/core.ts";
import { isSameJson } from "../kube/write.ts";
import type { Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";

export interface LiveConfig<T> {
  readonly current: T;
}

/** The informer has synced. Throws what `parse` throws on the first reading; a ConfigMap that is absent has its defaults. */
export function liveConfig<T>(options: {
  configMaps: Informer<ConfigMap>;
  namespace: string;
  name: string;
  parse: (data: Record<string, string> | undefined) => T;
  onChange?: () => void;
  log: Logger;
}): LiveConfig<T> {
  const { configMaps, namespace, name, parse, log } = options;
  let data = configMaps.get(`${namespace}/${name}`)?.data;
  let current = parse(data);
  configMaps.onChange((change) => {
    if (change.object.metadata.name !== name || change.object.metadata.namespace !== namespace) return;
    // One that was deleted is about to be made again, or its defaults would come as a surprise.
    if (change.is === "deleted" || isSameJson(change.object.data ?? {}, data ?? {})) return;
    data = change.object.data;
    try {
      current = parse(data);
    } catch (error) {
      log.warn({ err: error, configMap: name }, "a bad configuration is ignored, the last good one stays");
      return;
    }
    log.info({ configMap: name }, "configuration changed");
    options.onChange?.();
  });
  return {
    get current() {
      return current;
    },
  };
}
