/** Everything a container's process needs to be started, gathered from the API, the image and the pod. */
import { configMaps, secrets, type ConfigMap, type Container, type Secret } from "../../api/core.ts";
import { isNotFound, type KubeClient } from "../../kube/client.ts";
import path from "node:path";
import type { ImageEntry } from "../image/store.ts";
import {
  commandLine,
  containerEnvironment,
  environmentSources,
  formatPortMap,
  portOfEnvironment,
  type PodPlace,
  type Sources,
} from "./environment.ts";
import type { NodeContext, PodContext } from "./node-context.ts";
import { folderVariable } from "./process-records.ts";
import { mountMap } from "./volumes.ts";

export interface ContainerSetup {
  command: string[];
  env: Record<string, string>;
  directory: string;
  /** Descriptors that its process gets, after standard error. */
  inherited: readonly number[];
}

/** Throws ContainerConfigError when something it refers to does not exist. */
export async function containerSetup(
  node: NodeContext,
  context: PodContext,
  container: Container,
  image: ImageEntry,
): Promise<ContainerSetup> {
  const pod = context.pod();
  const sources = await readSources(node.client, pod.metadata.namespace ?? "", environmentSources(container));
  const place = placeOf(node, context.podIP);
  const base: Record<string, string> = {
    PATH: `${path.dirname(node.nodeBin)}${path.delimiter}${hostPath}`,
    HOME: path.join(context.folder, "home"),
    TMPDIR: path.join(context.folder, "tmp"),
    HOSTNAME: pod.metadata.name ?? "",
    LANG: "C.UTF-8",
    ...(context.kubeconfig === "" ? {} : { KUBECONFIG: context.kubeconfig }),
    ...image.env,
  };
  const ownPort = portOfEnvironment(container);
  const mappedPort = ownPort === undefined ? undefined : context.portMap.get(ownPort);
  const hostListen = node.hostListen(pod, node.services.list(pod.metadata.namespace));
  const forced: Record<string, string> = {
    [folderVariable]: node.folder,
    SWELL_BIND_ADDRESS: context.podIP,
    SWELL_HOSTS_FILE: node.hostsFile,
    ...(hostListen === undefined ? {} : { SWELL_HOST_LISTEN: hostListen.text }),
    ...(context.portMap.size === 0 ? {} : { SWELL_PORT_MAP: formatPortMap(context.portMap) }),
    ...(mappedPort === undefined ? {} : { PORT: String(mappedPort) }),
  };
  const env = containerEnvironment({ pod, container, place, sources, base, forced });
  const mounts = mountMap(container, context.volumes, env);
  if (mounts !== "") env["SWELL_MOUNT_MAP"] = mounts;
  return {
    command: commandLine(image, container, env),
    env,
    directory: path.resolve(image.directory, container.workingDir ?? ""),
    inherited: hostListen?.sockets ?? [],
  };
}

export const placeOf = (node: NodeContext, podIP: string): PodPlace => ({
  podIP,
  hostIP: node.hostIP,
  nodeName: node.nodeName,
  allocatable: node.allocatable,
});

/** Reads the named objects; those that do not exist are left out. */
export async function readSources(
  client: KubeClient,
  namespace: string,
  names: { configMaps: readonly string[]; secrets: readonly string[] },
): Promise<Sources> {
  const found: { configMaps: Map<string, ConfigMap>; secrets: Map<string, Secret> } = {
    configMaps: new Map(),
    secrets: new Map(),
  };
  const unlessMissing = (error: unknown): void => {
    if (!isNotFound(error)) throw error;
  };
  await Promise.all([
    ...names.configMaps.map((name) =>
      client
        .get<ConfigMap>(configMaps, name, namespace)
        .then((object) => void found.configMaps.set(name, object), unlessMissing),
    ),
    ...names.secrets.map((name) =>
      client
        .get<Secret>(secrets, name, namespace)
        .then((object) => void found.secrets.set(name, object), unlessMissing),
    ),
  ]);
  return found;
}

// npm puts the tools of this project on the path; an app must not find them there.
const hostPath = (process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin")
  .split(path.delimiter)
  .filter((entry) => !entry.includes("node_modules"))
  .join(path.delimiter);
