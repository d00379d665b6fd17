/** How the objects of a PodAutoscaler are brought to what they should be. */
import type { KubeObject, Resource } from "../api/meta.ts";
import type { KubeClient } from "../kube/client.ts";
import { isSameJson } from "../kube/write.ts";

/** Sets spec, labels and annotations, if they differ; what others added to labels and annotations stays. */
export async function updateChild<T extends KubeObject & { spec: object }>(
  client: KubeClient,
  resource: Resource,
  found: T,
  wanted: T,
): Promise<T> {
  const labels = { ...found.metadata.labels, ...wanted.metadata.labels };
  const annotations = { ...found.metadata.annotations, ...wanted.metadata.annotations };
  const same =
    isSameJson(found.spec, { ...found.spec, ...wanted.spec }) &&
    isSameJson(found.metadata.labels ?? {}, labels) &&
    isSameJson(found.metadata.annotations ?? {}, annotations);
  if (same) return found;
  return client.update<T>(resource, {
    ...found,
    metadata: { ...found.metadata, labels, annotations },
    spec: { ...found.spec, ...wanted.spec },
  });
}
