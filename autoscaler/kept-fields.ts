/**
 * What the autoscaler keeps of objects that it holds by the ten thousand: what its decisions read, and no more. A pod of
 * a cluster is some seven kilobytes of JSON, of which this is a tenth. None of them changes the object it is given.
 */
import type { Deployment, Pod } from "../api/core.ts";
import { label } from "../api/keys.ts";
import type { ObjectMeta } from "../api/meta.ts";
import { withoutManagedFields } from "../kube/informer.ts";
import { podDeletionCost } from "./deletion-cost.ts";

export function trimmedPod({ apiVersion, kind, metadata, spec, status }: Pod): Pod {
  const { phase, conditions, podIP, startTime } = status ?? {};
  const ready = conditions?.filter(({ type }) => type === "Ready") ?? [];
  return {
    apiVersion,
    kind,
    metadata: podMetadata(metadata),
    spec: {
      containers: spec.containers
        .filter(({ readinessProbe, startupProbe }) => readinessProbe !== undefined || startupProbe !== undefined)
        .map(({ name, readinessProbe, startupProbe }) => ({
          name,
          ...(readinessProbe === undefined ? {} : { readinessProbe: {} }),
          ...(startupProbe === undefined ? {} : { startupProbe: {} }),
        })),
      ...(spec.nodeName === undefined ? {} : { nodeName: spec.nodeName }),
    },
    ...(status === undefined
      ? {}
      : {
          status: {
            ...(phase === undefined ? {} : { phase }),
            ...(podIP === undefined ? {} : { podIP }),
            ...(startTime === undefined ? {} : { startTime }),
            conditions: ready,
          },
        }),
  };
}

function podMetadata(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, ownerReferences } = metadata;
  const revision = metadata.labels?.[label.revision];
  const cost = metadata.annotations?.[podDeletionCost];
  return {
    ...(name === undefined ? {} : { name }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
    ...(revision === undefined ? {} : { labels: { [label.revision]: revision } }),
    ...(cost === undefined ? {} : { annotations: { [podDeletionCost]: cost } }),
  };
}

export function trimmedDeployment(deployment: Deployment): Deployment {
  const { template } = deployment.spec;
  return withoutManagedFields({
    ...deployment,
    spec: { ...deployment.spec, template: { ...template, spec: { containers: [] } } },
  });
}
