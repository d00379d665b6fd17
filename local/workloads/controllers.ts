/** The controllers that a cluster's kube-controller-manager runs, as far as Swell's objects need them. */
import {
  configMaps,
  deployments,
  endpointSlices,
  endpoints,
  namespaces,
  pods,
  replicaSets,
  serviceAccounts,
  services,
  type ConfigMap,
  type Deployment,
  type Endpoints,
  type EndpointSlice,
  type Pod,
  type ReplicaSet,
  type Service,
} from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { eventRecorder } from "../../kube/events.ts";
import { createInformer, type Informer } from "../../kube/informer.ts";
import type { Logger } from "../../process/logger.ts";
import { deploymentController } from "./deployment-controller.ts";
import {
  endpointsController,
  labelIndex,
  labelsOf,
  selectorIndex,
  selectorOf,
  serviceIndex,
  serviceOf,
} from "./endpoints-controller.ts";
import { namespaceDefaultsController, rootCaName } from "./namespace-defaults.ts";
import { ownerIndex, ownerOf } from "./ownership.ts";
import { replicaSetController } from "./replica-set-controller.ts";
import { clusterRoles, roleAggregationController, type ClusterRole } from "./role-aggregation.ts";
import { serviceAddressController, type NodePorts } from "./service-addresses.ts";

export interface WorkloadOptions {
  client: KubeClient;
  log: Logger;
  /** PEM of the CA that signed the API server's certificate. */
  rootCa: string;
  nodePorts?: NodePorts;
  nowMs?: () => number;
}

/** Runs until the signal aborts; resolves when everything has stopped. */
export async function startWorkloadControllers(options: WorkloadOptions, signal: AbortSignal): Promise<void> {
  const { client, log, rootCa, nodePorts, nowMs = Date.now } = options;
  const informers: Informer<KubeObject>[] = [];
  const informer = <T extends KubeObject>(
    resource: Resource,
    extra: { indexes?: Record<string, (object: T) => string[]>; fieldSelector?: string } = {},
  ): Informer<T> => {
    const created = createInformer<T>({ client, resource, log, ...extra });
    informers.push(created);
    return created;
  };
  const byOwner = { [ownerIndex]: ownerOf };
  const podInformer = informer<Pod>(pods, { indexes: { ...byOwner, [labelIndex]: labelsOf } });
  const replicaSetInformer = informer<ReplicaSet>(replicaSets, { indexes: byOwner });
  const serviceInformer = informer<Service>(services, { indexes: { [selectorIndex]: selectorOf } });

  const runs = [
    deploymentController({
      client,
      log,
      deployments: informer<Deployment>(deployments),
      replicaSets: replicaSetInformer,
      pods: podInformer,
      record: eventRecorder({ client, component: "deployment-controller", log }),
      nowMs,
    }),
    replicaSetController({
      client,
      log,
      replicaSets: replicaSetInformer,
      pods: podInformer,
      record: eventRecorder({ client, component: "replicaset-controller", log }),
      nowMs,
    }),
    endpointsController({
      client,
      log,
      services: serviceInformer,
      pods: podInformer,
      endpoints: informer<Endpoints>(endpoints),
      slices: informer<EndpointSlice>(endpointSlices, { indexes: { [serviceIndex]: serviceOf } }),
    }),
    serviceAddressController({ client, log, nodePorts, services: serviceInformer }),
    roleAggregationController({ client, log, roles: informer<ClusterRole>(clusterRoles) }),
    namespaceDefaultsController({
      client,
      log,
      rootCa,
      namespaces: informer<KubeObject>(namespaces),
      serviceAccounts: informer<KubeObject>(serviceAccounts),
      rootCas: informer<ConfigMap>(configMaps, { fieldSelector: `metadata.name=${rootCaName}` }),
    }),
  ];
  const following = informers.map((each) => each.run(signal));
  // A controller that looks before its caches are full takes what it cannot see for missing.
  await Promise.all(informers.map((each) => each.synced(signal))).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });
  if (!signal.aborted) await Promise.all(runs.map((run) => run(signal)));
  await Promise.all(following);
}
