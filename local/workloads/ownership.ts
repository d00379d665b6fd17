/** Which objects a controller owns: by owner reference, plus orphans its selector picks, minus what it no longer picks. */
import type { KubeObject, LabelSelector, Resource } from "../../api/meta.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { isConflict, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { Lister } from "../../kube/informer.ts";
import { controllerReference } from "../../kube/write.ts";
import { selects } from "./label-selector.ts";
import { controllerOf } from "./pod-state.ts";

/** Index functions for {@link adopt}: by the controller's uid, and all objects of a namespace that have none. */
export const ownerIndex = "owner";

export function ownerOf(object: KubeObject): string[] {
  const owner = controllerOf(object);
  return [owner === undefined ? orphansOf(object.metadata.namespace) : owner.uid];
}

const orphansOf = (namespace: string | undefined) => `orphan/${namespace ?? ""}`;

export interface AdoptOptions<T extends KubeObject> {
  client: KubeClient;
  owner: KubeObject;
  ownerResource: Resource;
  resource: Resource;
  selector: LabelSelector;
  /** Has {@link ownerIndex}. */
  lister: Lister<T>;
  adoptable: (object: T) => boolean;
}

/** The owned objects after adopting and releasing. An owner that is being deleted adopts and releases nothing. */
export async function adopt<T extends KubeObject>(options: AdoptOptions<T>): Promise<T[]> {
  const { client, owner, ownerResource, resource, selector, lister, adoptable } = options;
  const held = lister.byIndex(ownerIndex, owner.metadata.uid ?? "");
  if (owner.metadata.deletionTimestamp !== undefined) return held;

  const owned: T[] = [];
  for (const object of held) {
    if (selects(selector, object.metadata.labels)) owned.push(object);
    else if (object.metadata.deletionTimestamp === undefined) await release(object);
  }
  for (const object of lister.byIndex(ownerIndex, orphansOf(owner.metadata.namespace)))
    if (selects(selector, object.metadata.labels) && adoptable(object)) {
      const adopted = await claim(object);
      if (adopted !== undefined) owned.push(adopted);
    }
  return owned;

  async function claim(object: T): Promise<T | undefined> {
    const identity = { apiVersion: apiVersionOf(ownerResource), kind: ownerResource.kind };
    const reference = controllerReference({ ...owner, ...identity });
    return write(object, [...(object.metadata.ownerReferences ?? []), reference]);
  }

  async function release(object: T): Promise<void> {
    const kept = (object.metadata.ownerReferences ?? []).filter(({ uid }) => uid !== owner.metadata.uid);
    await write(object, kept);
  }

  /** Undefined when somebody else changed it meanwhile: the change calls again. */
  async function write(object: T, ownerReferences: T["metadata"]["ownerReferences"] & object): Promise<T | undefined> {
    try {
      return await client.update(resource, { ...object, metadata: { ...object.metadata, ownerReferences } });
    } catch (error) {
      if (isNotFound(error) || isConflict(error)) return undefined;
      throw error;
    }
  }
}
