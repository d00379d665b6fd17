/** The key that signs the tokens of the stats stream: made once for the installation, kept in a Secret. */
import { randomBytes } from "node:crypto";
import { secrets, type Secret } from "../api/core.ts";
import { statsTokenSecret } from "../api/keys.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "../kube/client.ts";

const keyBytes = 32;

/** Reads the key, making it where it is missing; of several controllers that start together one makes it. */
export async function ensureStatsKey(client: KubeClient, namespace: string): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt += 1) {
    const found = await client.get<Secret>(secrets, statsTokenSecret, namespace).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    const key = Buffer.from(found?.data?.["key"] ?? "", "base64");
    if (key.length === keyBytes) return key;
    const data = { key: randomBytes(keyBytes).toString("base64") };
    try {
      if (found === undefined)
        await client.create<Secret>(secrets, {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: statsTokenSecret, namespace, labels: { "app.kubernetes.io/name": "knative-serving" } },
          type: "Opaque",
          data,
        });
      else await client.update<Secret>(secrets, { ...found, data });
    } catch (error) {
      if (attempt === 5 || !(isAlreadyExists(error) || isConflict(error))) throw error;
    }
  }
}
