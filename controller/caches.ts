/** The informers that the reconcilers share: one watch per kind, with the indexes they look objects up by. */
import { images, type PodAutoscaler, podAutoscalers } from "../api/autoscaling.ts";
import {
  deployments,
  endpoints,
  namespaces,
  pods,
  services,
  type Deployment,
  type Endpoints,
  type Pod,
  type Service,
} from "../api/core.ts";
import { label } from "../api/keys.ts";
import type { KubeObject, Resource } from "../api/meta.ts";
import {
  certificates,
  clusterDomainClaims,
  kIngresses,
  serverlessServices,
  type Certificate,
  type ClusterDomainClaim,
  type KIngress,
  type ServerlessService,
} from "../api/networking.ts";
import {
  configurations,
  domainMappings,
  kServices,
  revisions,
  routes,
  type Configuration,
  type DomainMapping,
  type KService,
  type Revision,
  type Route,
} from "../api/serving.ts";
import type { KubeClient } from "../kube/client.ts";
import { createInformer, type Informer } from "../kube/informer.ts";
import type { Logger } from "../process/logger.ts";
import { routesOf } from "./labeler/references.ts";

export interface Image extends KubeObject {
  spec: { image: string; serviceAccountName?: string; imagePullSecrets?: { name: string }[] };
}

export interface Caches {
  kServices: Informer<KService>;
  /** Index `revisionTargets` below names what a Route points at. */
  routes: Informer<Route>;
  configurations: Informer<Configuration>;
  revisions: Informer<Revision>;
  deployments: Informer<Deployment>;
  pods: Informer<Pod>;
  podAutoscalers: Informer<PodAutoscaler>;
  images: Informer<Image>;
  serverlessServices: Informer<ServerlessService>;
  ingresses: Informer<KIngress>;
  services: Informer<Service>;
  endpoints: Informer<Endpoints>;
  domainMappings: Informer<DomainMapping>;
  domainClaims: Informer<ClusterDomainClaim>;
  certificates: Informer<Certificate>;
  namespaces: Informer<KubeObject>;
}

/** Names of indexes; values are `namespace/name`, or a uid. */
export const index = {
  /** Revisions by the Configuration in their label. */
  byConfiguration: "configuration",
  /** Pods and Services by a label's value, with their namespace. */
  byRevision: "revision",
  byRoute: "route",
  /** Revisions and Configurations by the Routes in their annotation. */
  byListedRoute: "listedRoute",
  /** Routes by `namespace/configuration/name` and `namespace/revision/name` of what their spec or status names. */
  byTarget: "target",
  /** DomainMappings by domain, which several namespaces may want, and by {@link referenceTarget}. */
  byDomain: "domain",
} as const;

const byLabel =
  (key: string) =>
  (object: KubeObject): string[] => {
    const value = object.metadata.labels?.[key];
    return value === undefined ? [] : [`${object.metadata.namespace}/${value}`];
  };

const listedRoutes = (object: Revision | Configuration): string[] =>
  routesOf(object).map((name) => `${object.metadata.namespace}/${name}`);

export const configurationTarget = (namespace: string, name: string): string => `${namespace}/configuration/${name}`;
export const revisionTarget = (namespace: string, name: string): string => `${namespace}/revision/${name}`;

/** What a DomainMapping refers to: `group/Kind namespace/name`. */
export function referenceTarget({ metadata: { namespace = "" }, spec: { ref } }: DomainMapping): string {
  const { apiVersion = "" } = ref;
  const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
  return objectTarget(group, ref.kind, `${ref.namespace ?? namespace}/${ref.name}`);
}
export const objectTarget = (group: string, kind: string, key: string): string => `${group}/${kind} ${key}`;

function routeTargets(route: Route): string[] {
  const namespace = route.metadata.namespace ?? "";
  const targets = new Set<string>();
  for (const { revisionName, configurationName } of [...(route.spec.traffic ?? []), ...(route.status?.traffic ?? [])]) {
    if (configurationName !== undefined) targets.add(configurationTarget(namespace, configurationName));
    if (revisionName !== undefined) targets.add(revisionTarget(namespace, revisionName));
  }
  return [...targets];
}

export function createCaches(client: KubeClient, log: Logger): Caches {
  const informer = <T extends KubeObject>(
    resource: Resource,
    extra: { labelSelector?: string; indexes?: Record<string, (object: T) => string[]> } = {},
  ): Informer<T> => createInformer<T>({ client, resource, log, ...extra });
  return {
    kServices: informer(kServices),
    routes: informer<Route>(routes, { indexes: { [index.byTarget]: routeTargets } }),
    configurations: informer<Configuration>(configurations, { indexes: { [index.byListedRoute]: listedRoutes } }),
    revisions: informer<Revision>(revisions, {
      indexes: { [index.byConfiguration]: byLabel(label.configuration), [index.byListedRoute]: listedRoutes },
    }),
    deployments: informer(deployments, { labelSelector: label.revisionUID }),
    pods: informer<Pod>(pods, {
      labelSelector: label.revisionUID,
      indexes: { [index.byRevision]: byLabel(label.revision) },
    }),
    podAutoscalers: informer(podAutoscalers),
    images: informer(images),
    serverlessServices: informer(serverlessServices),
    ingresses: informer(kIngresses),
    services: informer<Service>(services, { indexes: { [index.byRoute]: byLabel(label.route) } }),
    endpoints: informer(endpoints),
    domainMappings: informer<DomainMapping>(domainMappings, {
      indexes: {
        [index.byDomain]: ({ metadata }) => [metadata.name ?? ""],
        [index.byTarget]: (mapping) => [referenceTarget(mapping)],
      },
    }),
    domainClaims: informer(clusterDomainClaims),
    namespaces: informer(namespaces),
    certificates: informer<Certificate>(certificates, { indexes: { [index.byRoute]: byLabel(label.route) } }),
  };
}

/** Runs every watch until the signal aborts; resolves once all have their first list. */
export async function startCaches(caches: Caches, log: Logger, signal: AbortSignal): Promise<void> {
  const all = Object.entries(caches) as [string, Informer<KubeObject>][];
  for (const [name, informer] of all)
    informer.run(signal).catch((error: unknown) => log.error({ err: error, cache: name }, "a watch ended"));
  await Promise.all(all.map(([, informer]) => informer.synced(signal)));
}
