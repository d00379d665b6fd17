/**
 * In-cluster names for processes that have no cluster DNS: a file with a line `IP NAME` for each ready address of
 * each Service, as a headless Service's DNS record would list them. `process/resolve.ts` reads it.
 */
import { rename, writeFile } from "node:fs/promises";
import { endpoints, type Endpoints } from "../../api/core.ts";
import { keyOf } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { createInformer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";

const retryMs = 1000;

/** The lines of one Endpoints object. */
export function hostLines({ metadata: { name = "", namespace = "" }, subsets = [] }: Endpoints): string {
  const addresses = new Set(subsets.flatMap((subset) => (subset.addresses ?? []).map(({ ip }) => ip)));
  return [...addresses].map((ip) => `${ip} ${name}.${namespace}.svc.cluster.local\n`).join("");
}

/** Keeps the file current until the signal aborts; resolves once it was written for the first time. */
export async function keepHostsFile(
  options: { file: string; client: KubeClient; log: Logger },
  signal: AbortSignal,
): Promise<void> {
  const { file, client, log } = options;
  const informer = createInformer<Endpoints>({ client, resource: endpoints, log });
  const lines = new Map<string, string>();
  let isDirty = true;
  let isWriting = false;

  const write = async (): Promise<void> => {
    if (isWriting) return;
    isWriting = true;
    // Changes that come while it writes are gathered into the next write.
    while (isDirty && !signal.aborted) {
      isDirty = false;
      try {
        await writeFile(`${file}.new`, [...lines.values()].join(""));
        await rename(`${file}.new`, file);
      } catch (error) {
        log.error({ err: error, file }, "cannot write the hosts file");
        isDirty = true;
        setTimeout(() => void write(), retryMs).unref();
        break;
      }
    }
    isWriting = false;
  };

  informer.onChange((change) => {
    const key = keyOf(change.object);
    const text = change.is === "deleted" ? "" : hostLines(change.object);
    if ((lines.get(key) ?? "") === text) return;
    if (text === "") lines.delete(key);
    else lines.set(key, text);
    isDirty = true;
    if (informer.hasSynced) void write();
  });
  void informer.run(signal);
  await informer.synced(signal);
  await write();
}
