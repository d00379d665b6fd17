/** The Ingress and the placeholder Services of a Route (spec: serving-api 4.7, 4.8). */
import { endpoints, services, type Endpoints, type Service } from "../../api/core.ts";
import { annotation, label } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { routeIngressName } from "../../api/names.ts";
import {
  kIngresses,
  type IngressPath,
  type IngressRule,
  type IngressSplit,
  type KIngress,
} from "../../api/networking.ts";
import type { Route } from "../../api/serving.ts";
import { controllerReference } from "../../kube/write.ts";
import type { PlatformConfig } from "../config/store.ts";
import { without } from "../reconciler.ts";
import { domainOf, localNames, type Host } from "./hosts.ts";
import type { RouteTls } from "./certificates.ts";
import type { Rollout } from "./rollout.ts";
import type { RevisionTarget } from "./traffic.ts";

/** An older spelling of the annotation that names the class. */
export const alternativeIngressClass = "networking.knative.dev/ingress-class";

export interface IngressInput {
  route: Route;
  /** In order, "" first. */
  hosts: readonly Host[];
  targets: ReadonlyMap<string, RevisionTarget[]>;
  rollout: Rollout;
  config: Readonly<PlatformConfig>;
  clusterDomain: string;
  /** Nothing where absent. */
  certificates?: Pick<RouteTls, "tls" | "challenges">;
}

/** Throws on an http-protocol annotation that is none. */
export function makeIngress(input: IngressInput): KIngress {
  const { route, hosts, config, rollout, certificates } = input;
  const { name = "", namespace = "", labels = {}, annotations = {} } = route.metadata;
  const tagged = hosts.filter(({ tag }) => tag !== "");
  const tagToHost = Object.fromEntries(
    tagged.map((host) => [host.tag, [host.local, ...(host.public === undefined ? [] : [host.public])]]),
  );
  return {
    apiVersion: apiVersionOf(kIngresses),
    kind: kIngresses.kind,
    metadata: {
      name: routeIngressName(name),
      namespace,
      labels: { ...labels, [label.route]: name, [label.routeNamespace]: namespace },
      annotations: {
        ...without(annotations, [annotation.lastApplied, alternativeIngressClass]),
        [annotation.ingressClass]:
          annotations[annotation.ingressClass] ?? annotations[alternativeIngressClass] ?? config.network.ingressClass,
        [annotation.rollout]: JSON.stringify(rollout),
        ...(tagged.length > 0 ? { [annotation.tagToHost]: JSON.stringify(tagToHost) } : {}),
      },
      ownerReferences: [controllerReference(route)],
    },
    spec: {
      ...httpOption(annotations, config),
      ...((certificates?.tls.length ?? 0) > 0 ? { tls: certificates!.tls } : {}),
      rules: hosts.flatMap((host) => rulesOf(host, input)),
    },
  };
}

/** From the annotation, else as configured. Throws on an annotation that is none. */
export function httpOption(
  annotations: Readonly<Record<string, string>>,
  config: Readonly<PlatformConfig>,
): Pick<KIngress["spec"], "httpOption"> {
  const given = annotations["networking.knative.dev/httpOption"] ?? annotations["networking.knative.dev/http-protocol"];
  if (given === undefined) {
    const stock = config.network.httpProtocol;
    return stock === "Disabled" ? {} : { httpOption: stock };
  }
  if (given.toLowerCase() === "enabled") return { httpOption: "Enabled" };
  if (given.toLowerCase() === "redirected") return { httpOption: "Redirected" };
  throw new Error(`incorrect http-protocol annotation: ${given}`);
}

function rulesOf(host: Host, input: IngressInput): IngressRule[] {
  const { route, clusterDomain } = input;
  const http = { paths: pathsOf(host.tag, input) };
  const local: IngressRule = {
    hosts: localNames(host, route.metadata.namespace ?? "", clusterDomain),
    visibility: "ClusterLocal",
    http,
  };
  if (host.public === undefined) return [local];
  // The certificate's issuer asks by HTTP whether the host is ours.
  const proofs = acmePaths(host.public, input.certificates?.challenges ?? []);
  return [local, { hosts: [host.public], visibility: "ExternalIP", http: { paths: [...proofs, ...http.paths] } }];
}

/** HTTP-01 challenges of a host, ahead of its other paths. */
export function acmePaths(host: string, challenges: RouteTls["challenges"]): IngressPath[] {
  return challenges.flatMap(({ url, serviceNamespace, serviceName, servicePort }) => {
    const { hostname, pathname } = new URL(url);
    return hostname === host
      ? [{ path: pathname, splits: [{ serviceNamespace, serviceName, servicePort, percent: 100 }] }]
      : [];
  });
}

function pathsOf(tag: string, input: IngressInput): IngressPath[] {
  const { targets, config } = input;
  const path: IngressPath = { splits: splitsOf(tag, input) };
  if (config.features.tagHeaderBasedRouting !== "Enabled") return [path];
  if (tag !== "") return [{ ...path, appendHeaders: { "Knative-Serving-Tag": tag } }];
  const byHeader = [...targets.keys()]
    .filter((key) => key !== "")
    .map((key) => ({ headers: { "Knative-Serving-Tag": { exact: key } }, splits: splitsOf(key, input) }));
  return [...byHeader, { ...path, appendHeaders: { "Knative-Serving-Default-Route": "true" } }];
}

function splitsOf(tag: string, { route, targets, rollout, config }: IngressInput): IngressSplit[] {
  const namespace = route.metadata.namespace ?? "";
  const split = (revision: string, percent: number, protocol: RevisionTarget["protocol"]): IngressSplit => ({
    serviceNamespace: namespace,
    serviceName: revision,
    servicePort: config.network.systemInternalTls ? 443 : protocol === "h2c" ? 81 : 80,
    percent,
    appendHeaders: { "Knative-Serving-Namespace": namespace, "Knative-Serving-Revision": revision },
  });
  return (targets.get(tag) ?? [])
    .filter(({ percent }) => percent > 0)
    .flatMap((target) => {
      const stepping = target.latestRevision
        ? rollout.configurations.find(
            (entry) => (entry.tag ?? "") === tag && entry.configurationName === target.configurationName,
          )
        : undefined;
      return stepping === undefined
        ? [split(target.revisionName, target.percent, target.protocol)]
        : stepping.revisions
            .filter(({ percent }) => percent > 0)
            .map(({ revisionName, percent }) => split(revisionName, percent, target.protocol));
    });
}

const http2Port = { name: "http2", port: 80, targetPort: 80, protocol: "TCP", appProtocol: "kubernetes.io/h2c" };

/** Lets pods reach the host by its cluster name, before the Ingress says where its gateway is. */
export function makePlaceholder(route: Route, host: Host): Service {
  const { name = "", namespace = "", labels, annotations } = route.metadata;
  return {
    apiVersion: apiVersionOf(services),
    kind: services.kind,
    metadata: {
      name: host.name,
      namespace,
      labels: { ...without(labels, [label.visibility]), [label.route]: name },
      annotations: without(annotations, [annotation.lastApplied]),
      ownerReferences: [controllerReference(route)],
    },
    spec: { type: "ExternalName", externalName: domainOf(host), sessionAffinity: "None", ports: [http2Port] },
  };
}

export interface Destination {
  spec: Pick<Service["spec"], "type" | "externalName" | "clusterIP" | "sessionAffinity" | "ports">;
  /** Where the Service has no selector and a gateway is known by its IP. */
  endpoints?: Endpoints["subsets"];
}

/** Where the placeholder leads once the Ingress names its load balancer; undefined while it does not. */
export function placeholderDestination(ingress: KIngress, isPrivate: boolean): Destination | undefined {
  const { publicLoadBalancer, privateLoadBalancer } = ingress.status ?? {};
  const balancer = isPrivate || privateLoadBalancer !== undefined ? privateLoadBalancer : publicLoadBalancer;
  const [entry, ...more] = balancer?.ingress ?? [];
  if (entry === undefined) return undefined;
  if (more.length > 0) throw new Error(`Ingress ${ingress.metadata.name} has more than one load balancer`);
  const externalName = (entry.domainInternal ?? "") !== "" ? entry.domainInternal : entry.domain;
  if ((entry.ip ?? "") !== "")
    return {
      spec: { type: "ClusterIP", clusterIP: "None", ports: [http2Port] },
      endpoints: [{ addresses: [{ ip: entry.ip! }], ports: [{ name: "http2", port: 80, protocol: "TCP" }] }],
    };
  if (externalName !== undefined && externalName !== "")
    return { spec: { type: "ExternalName", externalName, sessionAffinity: "None", ports: [http2Port] } };
  if (entry.meshOnly === true)
    return { spec: { type: "ClusterIP", ports: [{ name: "http", port: 80, targetPort: 80, protocol: "TCP" }] } };
  return undefined;
}

export function makePlaceholderEndpoints(placeholder: Service, subsets: Endpoints["subsets"], route: Route): Endpoints {
  const { name = "", namespace = "", labels = {} } = placeholder.metadata;
  return {
    apiVersion: apiVersionOf(endpoints),
    kind: endpoints.kind,
    metadata: { name, namespace, labels, ownerReferences: [controllerReference(route)] },
    ...(subsets === undefined ? {} : { subsets }),
  };
}
