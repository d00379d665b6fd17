/** Every namespace has a `default` ServiceAccount and the cluster's CA certificate. */
import {
  configMaps as configMapResource,
  serviceAccounts as serviceAccountResource,
  type ConfigMap,
} from "../../api/core.ts";
import { keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { isAlreadyExists, isNotFound, type KubeClient } from "../../kube/client.ts";
import type { Informer } from "../../kube/informer.ts";
import { done, startReconciler, type Outcome } from "../../kube/reconciler.ts";
import type { Logger } from "../../process/logger.ts";

export const rootCaName = "kube-root-ca.crt";

export interface NamespaceDefaultsDeps {
  client: KubeClient;
  log: Logger;
  /** PEM. */
  rootCa: string;
  namespaces: Informer<KubeObject>;
  serviceAccounts: Informer<KubeObject>;
  /** Only those named {@link rootCaName}. */
  rootCas: Informer<ConfigMap>;
}

export function namespaceDefaultsController(deps: NamespaceDefaultsDeps): (signal: AbortSignal) => Promise<void> {
  const { client, log, rootCa, namespaces, serviceAccounts, rootCas } = deps;

  async function reconcile(namespace: string): Promise<Outcome> {
    const found = namespaces.get(namespace);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return done;
    const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace } };
    const ca: ConfigMap = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: rootCaName, namespace },
      data: { "ca.crt": rootCa },
    };
    const present = rootCas.get(`${namespace}/${rootCaName}`);
    await Promise.all([
      serviceAccounts.get(`${namespace}/default`) === undefined ? create(serviceAccountResource, account) : undefined,
      present === undefined ? create(configMapResource, ca) : undefined,
      present !== undefined && present.data?.["ca.crt"] !== rootCa
        ? client.update(configMapResource, { ...present, data: ca.data! })
        : undefined,
    ]);
    return done;
  }

  /** The namespace may go, or somebody else be faster: both are fine. */
  async function create(resource: Resource, object: KubeObject): Promise<void> {
    try {
      await client.create(resource, object);
    } catch (error) {
      if (!isAlreadyExists(error) && !isNotFound(error)) throw error;
    }
  }

  const reconciler = startReconciler({ name: "namespace-defaults", reconcile, log });
  namespaces.onChange(({ object }) => reconciler.queue.add(keyOf(object)));
  for (const informer of [serviceAccounts, rootCas])
    informer.onChange(({ is, object }) => {
      if (is !== "added") reconciler.queue.add(object.metadata.namespace ?? "");
    });
  return (signal) => reconciler.run(signal);
}
