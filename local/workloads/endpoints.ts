/** The addresses behind a Service, as Endpoints and as EndpointSlices. Pure. */
import type {
  EndpointAddress,
  Endpoints,
  EndpointSlice,
  EndpointSubset,
  Pod,
  Service,
  ServicePort,
} from "../../api/core.ts";
import type { KubeObject, OwnerReference } from "../../api/meta.ts";
import { isIPv6 } from "node:net";
import { canonical, hashName } from "./names.ts";
import { isFinished, isReady } from "./pod-state.ts";

export const serviceNameLabel = "kubernetes.io/service-name";
export const managedByLabel = "endpointslice.kubernetes.io/managed-by";
export const sliceController = "endpointslice-controller.k8s.io";
export const mirrorController = "endpointslicemirroring-controller.k8s.io";
const skipMirrorLabel = "endpointslice.kubernetes.io/skip-mirror";
const headlessLabel = "service.kubernetes.io/headless";

/** The API's own bound for one slice. */
const maxSliceEndpoints = 1000;

type Port = NonNullable<EndpointSubset["ports"]>[number];

/** For a Service with a selector; `pods` are the ones it selects. */
export function endpointsOf(service: Service, pods: readonly Pod[]): Endpoints {
  const all = publishesNotReady(service);
  const groups = new Map<string, { ports: Port[]; ready: EndpointAddress[]; notReady: EndpointAddress[] }>();
  for (const pod of byName(pods)) {
    const ip = addressOf(pod);
    if (ip === undefined || (isTerminating(pod) && !all)) continue;
    const ports = portsOf(service, pod);
    if (ports === undefined) continue;
    const group = groupOf(groups, ports, () => ({ ports, ready: [], notReady: [] }));
    const address = { ip, ...nodeOf(pod), targetRef: referenceTo(pod) };
    (all || isReady(pod) ? group.ready : group.notReady).push(address);
  }
  return {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { ...namesOf(service), labels: { ...service.metadata.labels, ...headless(service) } },
    subsets: [...groups.values()].map(({ ports, ready, notReady }) => ({
      ...(ready.length === 0 ? {} : { addresses: ready }),
      ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady }),
      ...(ports.length === 0 ? {} : { ports }),
    })),
  };
}

/** For a Service with a selector: pods that are ending stay, marked so. */
export function slicesOf(service: Service, pods: readonly Pod[]): EndpointSlice[] {
  const all = publishesNotReady(service);
  const groups = new Map<string, { ports: Port[]; endpoints: EndpointSlice["endpoints"] }>();
  for (const pod of byName(pods)) {
    const ip = addressOf(pod);
    const ports = ip === undefined ? undefined : portsOf(service, pod);
    if (ip === undefined || ports === undefined) continue;
    const serving = isReady(pod);
    const terminating = isTerminating(pod);
    groupOf(groups, ports, () => ({ ports, endpoints: [] })).endpoints.push({
      addresses: [ip],
      conditions: { ready: all || (serving && !terminating), serving, terminating },
      ...nodeOf(pod),
      targetRef: referenceTo(pod),
    });
  }
  const labels = { ...service.metadata.labels, ...headless(service) };
  return slices(service, labels, sliceController, owner("v1", "Service", service), [...groups.values()]);
}

/** For a Service without a selector, whose Endpoints object somebody else writes. */
export function mirroredSlices(service: Service, endpoints: Endpoints | undefined): EndpointSlice[] {
  if (endpoints === undefined || endpoints.metadata.labels?.[skipMirrorLabel] === "true") return [];
  const groups = (endpoints.subsets ?? []).map(({ addresses = [], notReadyAddresses = [], ports = [] }) => {
    const mirrored = (list: EndpointAddress[], ready: boolean) =>
      list.map(({ ip, nodeName, targetRef }) => ({
        addresses: [ip],
        conditions: { ready, serving: ready, terminating: false },
        ...(nodeName === undefined ? {} : { nodeName }),
        ...(targetRef === undefined ? {} : { targetRef }),
      }));
    return { ports, endpoints: [...mirrored(addresses, true), ...mirrored(notReadyAddresses, false)] };
  });
  const labels = endpoints.metadata.labels ?? {};
  return slices(service, labels, mirrorController, owner("v1", "Endpoints", endpoints), groups);
}

function slices(
  service: Service,
  labels: Record<string, string>,
  controller: string,
  ownerReference: OwnerReference,
  groups: readonly { ports: Port[]; endpoints: EndpointSlice["endpoints"] }[],
): EndpointSlice[] {
  const { name = "", namespace = "" } = service.metadata;
  return groups.flatMap(({ ports, endpoints }) =>
    [false, true].flatMap((v6) => {
      const family = endpoints.filter(({ addresses }) => isIPv6(addresses[0] ?? "") === v6);
      const chunks = Array.from({ length: Math.ceil(family.length / maxSliceEndpoints) }, (_, chunk) =>
        family.slice(chunk * maxSliceEndpoints, (chunk + 1) * maxSliceEndpoints),
      );
      return chunks.map((chunk, index): EndpointSlice => ({
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: {
          // The same ports give the same name, so that no lagging cache makes a second slice of them.
          name: `${name}-${hashName([controller, ports, v6, index]).slice(0, 5)}`,
          generateName: `${name}-`,
          namespace,
          labels: { ...labels, [serviceNameLabel]: name, [managedByLabel]: controller },
          ownerReferences: [ownerReference],
        },
        addressType: v6 ? "IPv6" : "IPv4",
        endpoints: chunk,
        ports: ports.map(({ name: portName = "", ...port }) => ({ name: portName, ...port })),
      }));
    }),
  );
}

/** Undefined when none of the Service's ports leads to this pod. */
function portsOf(service: Service, pod: Pod): Port[] | undefined {
  const wanted = service.spec.ports ?? [];
  if (wanted.length === 0) return [];
  const ports = wanted.flatMap((port): Port[] => {
    const number = targetPort(port, pod);
    if (number === undefined) return [];
    const { name, protocol = "TCP", appProtocol } = port;
    return [
      {
        ...(name === undefined || name === "" ? {} : { name }),
        port: number,
        protocol,
        ...(appProtocol === undefined ? {} : { appProtocol }),
      },
    ];
  });
  return ports.length === 0 ? undefined : ports;
}

function targetPort({ port, targetPort: target, protocol = "TCP" }: ServicePort, pod: Pod): number | undefined {
  if (target === undefined || target === 0 || target === "") return port;
  if (typeof target === "number") return target;
  if (/^\d+$/.test(target)) return Number(target);
  return pod.spec.containers
    .flatMap((container) => container.ports ?? [])
    .find((candidate) => candidate.name === target && (candidate.protocol ?? "TCP") === protocol)?.containerPort;
}

function groupOf<G>(groups: Map<string, G>, ports: readonly Port[], make: () => G): G {
  const key = canonical(ports);
  let group = groups.get(key);
  if (group === undefined) groups.set(key, (group = make()));
  return group;
}

function addressOf(pod: Pod): string | undefined {
  const ip = pod.status?.podIP ?? "";
  return isFinished(pod) || ip === "" ? undefined : ip;
}

const isTerminating = (pod: Pod) => pod.metadata.deletionTimestamp !== undefined;
const publishesNotReady = (service: Service) => service.spec["publishNotReadyAddresses"] === true;
const headless = (service: Service): Record<string, string> =>
  service.spec.clusterIP === "None" ? { [headlessLabel]: "" } : {};
const nodeOf = (pod: Pod) => (pod.spec.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName });
const byName = (pods: readonly Pod[]) =>
  [...pods].sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));

function namesOf({ metadata: { name = "", namespace = "" } }: KubeObject) {
  return { name, namespace };
}

function referenceTo(pod: Pod) {
  const { name = "", namespace = "", uid = "" } = pod.metadata;
  return { kind: "Pod", namespace, name, uid };
}

function owner(apiVersion: string, kind: string, { metadata }: KubeObject): OwnerReference {
  const { name = "", uid = "" } = metadata;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}
