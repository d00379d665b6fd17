/** The two Services and the Endpoints of a ServerlessService (spec: serving-api 4.13). */
import {
  endpoints,
  services,
  type EndpointAddress,
  type Endpoints,
  type EndpointSubset,
  type Service,
  type ServicePort,
} from "../../api/core.ts";
import { label, port } from "../../api/keys.ts";
import { apiVersionOf } from "../../api/meta.ts";
import { privateServiceName } from "../../api/names.ts";
import type { ServerlessService } from "../../api/networking.ts";
import { controllerReference } from "../../kube/write.ts";

const h2cProtocol = "kubernetes.io/h2c";

export const servingPort = (sks: ServerlessService): number =>
  sks.spec.protocolType === "h2c" ? port.queueHttp2 : port.queueHttp1;

const portName = (sks: ServerlessService): string => (sks.spec.protocolType === "h2c" ? "http2" : "http");

const tcp = (name: string, own: number, target: number, isH2c = false): ServicePort => ({
  name,
  protocol: "TCP",
  ...(isH2c ? { appProtocol: h2cProtocol } : {}),
  port: own,
  targetPort: target,
});

function metadataOf(sks: ServerlessService, name: string, type: "Public" | "Private"): Service["metadata"] {
  const { namespace = "", labels = {}, annotations = {}, name: sksName = "" } = sks.metadata;
  return {
    name,
    namespace,
    labels: { ...labels, [label.serverlessService]: sksName, [label.serviceType]: type },
    annotations: { ...annotations },
    ownerReferences: [controllerReference(sks)],
  };
}

export function makePrivateService(sks: ServerlessService, selector: Record<string, string>): Service {
  const { name = "" } = sks.metadata;
  const http = portName(sks);
  const isH2c = http === "http2";
  return {
    apiVersion: apiVersionOf(services),
    kind: services.kind,
    metadata: metadataOf(sks, privateServiceName(name), "Private"),
    spec: {
      type: "ClusterIP",
      selector,
      ports: [
        tcp(http, 80, servingPort(sks), isH2c),
        tcp("https", 443, port.queueHttps),
        tcp("http-autometric", port.autoMetric, port.autoMetric),
        tcp("http-usermetric", port.userMetric, port.userMetric),
        tcp(`${http}-istio`, servingPort(sks), servingPort(sks), isH2c),
      ],
    },
  };
}

export function makePublicService(sks: ServerlessService): Service {
  const http = portName(sks);
  const isH2c = http === "http2";
  return {
    apiVersion: apiVersionOf(services),
    kind: services.kind,
    metadata: metadataOf(sks, sks.metadata.name ?? "", "Public"),
    spec: {
      type: "ClusterIP",
      ports: [tcp(http, isH2c ? 81 : 80, servingPort(sks), isH2c), tcp("https", 443, port.queueHttps)],
    },
  };
}

export function makePublicEndpoints(sks: ServerlessService, subsets: EndpointSubset[]): Endpoints {
  return {
    apiVersion: apiVersionOf(endpoints),
    kind: endpoints.kind,
    metadata: metadataOf(sks, sks.metadata.name ?? "", "Public"),
    subsets,
  };
}

export const readyAddresses = (found: Endpoints | undefined): EndpointAddress[] =>
  (found?.subsets ?? []).flatMap((subset) => subset.addresses ?? []);

/** Only the ports that requests come in by; only the addresses that `keep` wants, without subsets left empty. */
export function servingSubsets(
  sks: ServerlessService,
  from: Endpoints | undefined,
  keep: (address: EndpointAddress) => boolean,
): EndpointSubset[] {
  const wanted = new Set<number>([servingPort(sks), port.queueHttps]);
  return (from?.subsets ?? []).flatMap((subset) => {
    const addresses = (subset.addresses ?? []).filter(keep);
    const ports = (subset.ports ?? [])
      .filter((entry) => wanted.has(entry.port) && !(entry.name ?? "").endsWith("-istio"))
      .map((entry) => (entry.port === servingPort(sks) ? { ...entry, name: portName(sks) } : entry));
    return addresses.length === 0 || ports.length === 0 ? [] : [{ addresses, ports }];
  });
}
