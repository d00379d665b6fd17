/** Keeps the Endpoints and EndpointSlices of every Service. */
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import {
  endpointSlices as sliceResource,
  endpoints as endpointsResource,
  type Endpoints,
  type EndpointSlice,
  type Pod,
  type Service,
} from "../../api/core.ts";
import { isNotFound, type KubeClient } from "../../kube/client.ts";
import type { Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import type { Logger } from "../../process/logger.ts";
import {
  endpointsOf,
  managedByLabel,
  mirrorController,
  mirroredSlices,
  serviceNameLabel,
  sliceController,
  slicesOf,
} from "./endpoints.ts";
import { hasAll } from "./label-selector.ts";
import { canonical } from "./names.ts";

/** By each label, `namespace/key=value`. */
export const labelIndex = "label";
/** Services by the first pair of their selector. */
export const selectorIndex = "selector";
/** Slices by the Service they belong to. */
export const serviceIndex = "service";

export const labelsOf = ({ metadata: { namespace = "", labels = {} } }: KubeObject): string[] =>
  Object.entries(labels).map(([key, value]) => `${namespace}/${key}=${value}`);

export const selectorOf = ({ metadata: { namespace = "" }, spec }: Service): string[] =>
  firstPair(namespace, spec.selector ?? {});

export const serviceOf = ({ metadata: { namespace = "", labels = {} } }: EndpointSlice): string[] =>
  labels[serviceNameLabel] === undefined ? [] : [`${namespace}/${labels[serviceNameLabel]}`];

function firstPair(namespace: string, selector: Readonly<Record<string, string>>): string[] {
  const [first] = Object.entries(selector).sort(([a], [b]) => (a < b ? -1 : 1));
  return first === undefined ? [] : [`${namespace}/${first[0]}=${first[1]}`];
}

export interface EndpointsDeps {
  client: KubeClient;
  log: Logger;
  /** Indexed by `selector`. */
  services: Informer<Service>;
  /** Indexed by `label`. */
  pods: Informer<Pod>;
  endpoints: Informer<Endpoints>;
  /** Indexed by `service`. */
  slices: Informer<EndpointSlice>;
}

export function endpointsController(deps: EndpointsDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, services, pods, endpoints, slices } = deps;

  async function reconcile(key: string): Promise<Outcome> {
    const service = services.get(key);
    const present = endpoints.get(key);
    if (service === undefined || service.metadata.deletionTimestamp !== undefined) {
      if (service === undefined && present !== undefined) await remove(endpointsResource, present);
      await applySlices(key, []);
      return done;
    }
    if (service.spec.type === "ExternalName") return done;
    if (!hasSelector(service)) {
      await applySlices(key, mirroredSlices(service, present));
      return done;
    }
    const selected = podsOf(service);
    await Promise.all([
      applyEndpoints(endpointsOf(service, selected), present),
      applySlices(key, slicesOf(service, selected)),
    ]);
    return done;
  }

  function podsOf(service: Service): Pod[] {
    const selector = service.spec.selector ?? {};
    const [pair = ""] = selectorOf(service);
    return pods.byIndex(labelIndex, pair).filter((pod) => hasAll(selector, pod.metadata.labels));
  }

  async function applyEndpoints(wanted: Endpoints, present: Endpoints | undefined): Promise<void> {
    if (present === undefined) {
      await client.create(endpointsResource, wanted);
      return;
    }
    const labels = wanted.metadata.labels ?? {};
    if (canonical(present.subsets ?? []) === canonical(wanted.subsets ?? []) && hasAll(labels, present.metadata.labels))
      return;
    const metadata = { ...present.metadata, labels: { ...present.metadata.labels, ...labels } };
    await client.update(endpointsResource, { ...present, metadata, subsets: wanted.subsets ?? [] });
  }

  async function applySlices(key: string, wanted: readonly EndpointSlice[]): Promise<void> {
    const present = new Map(
      slices
        .byIndex(serviceIndex, key)
        .filter(({ metadata }) => {
          const manager = metadata.labels?.[managedByLabel];
          return manager === sliceController || manager === mirrorController;
        })
        .map((slice) => [slice.metadata.name, slice]),
    );
    const writes: Promise<unknown>[] = [];
    for (const slice of wanted) {
      const found = present.get(slice.metadata.name);
      present.delete(slice.metadata.name);
      if (found === undefined) writes.push(client.create(sliceResource, slice));
      else if (!sameSlice(found, slice))
        writes.push(
          client.update(sliceResource, {
            ...slice,
            metadata: { ...found.metadata, ...slice.metadata },
          }),
        );
    }
    for (const surplus of present.values()) writes.push(remove(sliceResource, surplus));
    await Promise.all(writes);
  }

  async function remove(resource: Resource, { metadata }: KubeObject): Promise<void> {
    try {
      await client.delete(resource, metadata.name ?? "", metadata.namespace);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  const reconciler = startReconciler({ name: "endpoints", reconcile, log });
  const enqueueServices = (pod: Pod): void => {
    for (const pair of labelsOf(pod))
      for (const service of services.byIndex(selectorIndex, pair))
        if (hasAll(service.spec.selector ?? {}, pod.metadata.labels)) reconciler.queue.add(keyOf(service));
  };
  services.onChange(({ object }) => reconciler.queue.add(keyOf(object)));
  pods.onChange((change) => {
    if (change.is === "updated" && canonical(seenIn(change.object)) === canonical(seenIn(change.previous))) return;
    enqueueServices(change.object);
    if (change.is === "updated") enqueueServices(change.previous);
  });
  endpoints.onChange(({ object }) => {
    if (services.get(keyOf(object)) !== undefined) reconciler.queue.add(keyOf(object));
  });
  slices.onChange(({ object }) => {
    for (const key of serviceOf(object)) reconciler.queue.add(key);
  });
  return (signal) => reconciler.run(signal);
}

const hasSelector = (service: Service) => Object.keys(service.spec.selector ?? {}).length > 0;

/** All that the addresses depend on. */
function seenIn({ metadata, spec, status }: Pod): unknown {
  const ready = status?.conditions?.find((condition) => condition.type === "Ready")?.status;
  return [metadata.labels, metadata.deletionTimestamp, spec.nodeName, status?.podIP, status?.phase, ready];
}

function sameSlice(a: EndpointSlice, b: EndpointSlice): boolean {
  return (
    canonical([a.endpoints, a.ports, a.metadata.ownerReferences]) ===
      canonical([b.endpoints, b.ports, b.metadata.ownerReferences]) &&
    hasAll(b.metadata.labels ?? {}, a.metadata.labels)
  );
}
