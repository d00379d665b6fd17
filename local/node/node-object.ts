/** The Node object of this machine. */
import os from "node:os";
import { nodes } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { isAlreadyExists, type KubeClient } from "../../kube/client.ts";
import { timestamp } from "./pod-status.ts";
import type { Resources } from "./scheduling.ts";

interface NodeObject extends KubeObject {
  spec: { podCIDR?: string };
  status?: Record<string, unknown>;
}

const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export function nodeLabels(nodeName: string): Record<string, string> {
  const architecture = architectures[process.arch] ?? process.arch;
  return {
    "kubernetes.io/hostname": nodeName,
    "kubernetes.io/os": process.platform,
    "kubernetes.io/arch": architecture,
    "node-role.kubernetes.io/control-plane": "",
  };
}

/** Creates the Node, or brings a stored one up to date: Ready from then on, without a heartbeat. */
export async function registerNode(
  client: KubeClient,
  node: { name: string; hostIP: string; podCidr: string; allocatable: Resources; nowMs: number },
): Promise<void> {
  const object: NodeObject = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: node.name, labels: nodeLabels(node.name) },
    spec: { podCIDR: `${node.podCidr}.0.0/16` },
  };
  let stored: NodeObject;
  try {
    stored = await client.create<NodeObject>(nodes, object);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    stored = await client.patch<NodeObject>(nodes, node.name, undefined, {
      is: "merge",
      body: { metadata: { labels: object.metadata.labels } },
    });
  }
  const at = timestamp(node.nowMs);
  const condition = (type: string, status: string, reason: string, message: string) => ({
    type,
    status,
    reason,
    message,
    lastHeartbeatTime: at,
    lastTransitionTime: at,
  });
  const amounts = {
    cpu: String(node.allocatable.cpuMillis / 1000),
    memory: `${Math.floor(node.allocatable.memoryBytes / 1024)}Ki`,
    pods: String(node.allocatable.pods),
  };
  const status = {
    capacity: amounts,
    allocatable: amounts,
    addresses: [
      { type: "InternalIP", address: node.hostIP },
      { type: "Hostname", address: node.name },
    ],
    conditions: [
      condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "the node has sufficient memory available"),
      condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "the node has no disk pressure"),
      condition("PIDPressure", "False", "KubeletHasSufficientPID", "the node has sufficient PID available"),
      condition("Ready", "True", "KubeletReady", "the node agent runs pods as processes"),
    ],
    nodeInfo: {
      architecture: architectures[process.arch] ?? process.arch,
      bootID: "",
      containerRuntimeVersion: `process://${process.versions.node}`,
      kernelVersion: os.release(),
      kubeProxyVersion: "",
      kubeletVersion: "v1.34.0",
      machineID: "",
      operatingSystem: process.platform,
      osImage: os.version(),
      systemUUID: "",
    },
  };
  await client.update<NodeObject>(nodes, { ...stored, status }, { subresource: "status" });
}
