/** Where hand-overs lie: one ConfigMap per bucket, written by the owner that goes, deleted by the one that comes. */
import { configMaps, type ConfigMap } from "../../api/core.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../../kube/client.ts";

export interface HandOverStore {
  read(bucket: string): Promise<Buffer | undefined>;
  write(bucket: string, packed: Buffer): Promise<void>;
  /** Nothing happens when there is none. */
  remove(bucket: string): Promise<void>;
}

/** Those who watch ConfigMaps for settings leave these out. */
export const handOverLabel = "swell.dev/hand-over";
const field = "windows";

export function handOverStore(client: KubeClient, namespace: string): HandOverStore {
  const nameOf = (bucket: string): string => `${bucket}-windows`;
  return {
    async read(bucket) {
      try {
        const { binaryData } = await client.get<ConfigMap>(configMaps, nameOf(bucket), namespace);
        const encoded = binaryData?.[field];
        return encoded === undefined ? undefined : Buffer.from(encoded, "base64");
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    async write(bucket, packed) {
      const object: ConfigMap = {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: nameOf(bucket), namespace, labels: { [handOverLabel]: "true" } },
        binaryData: { [field]: packed.toString("base64") },
      };
      try {
        await client.create(configMaps, object);
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        await client.update(configMaps, object);
      }
    },
    async remove(bucket) {
      try {
        await client.delete(configMaps, nameOf(bucket), namespace);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },
  };
}
