/**
 * The whole path of a request: the activator's gateway door by host name, then the sidecar. The activator is the
 * bundle that pods run; it watches an API server that holds one route and one ready pod and never changes, so that
 * nothing but the request path is measured. Its stats stream has a receiver.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { FakeAutoscaler } from "../../activator/fake-autoscaler.ts";
import { annotation, label, statsTokenSecret } from "../../api/keys.ts";
import type { KubeObject } from "../../api/meta.ts";
import { swellIngressClass } from "../../api/networking.ts";
import { FakeApiServer } from "../../kube/fake-api-server.ts";
import { host } from "../scenarios.ts";
import { Program, type Contender, type Running, type Setting } from "./contender.ts";
import { sidecarProgram } from "./queue-proxy.ts";
import { namespace, revision, servingPort, totalSeconds } from "./sidecar-env.ts";

const gatewayPort = 8080;

export function gateway(bundles: Readonly<Record<string, string>>): Contender {
  return {
    name: "gateway+queue-proxy",
    about: "the activator's gateway and the sidecar behind it; CPU and memory are those of both",
    takesPart: () => true,
    start: (setting) => start(bundles["activator"]!, bundles["queue-proxy"]!, setting),
  };
}

async function start(activatorBundle: string, sidecarBundle: string, setting: Setting): Promise<Running> {
  const podSetting = { ...setting, address: nextAddress(setting.address), folder: path.join(setting.folder, "pod") };
  mkdirSync(podSetting.folder);
  const port = servingPort(setting.app.protocol);
  const api = new FakeApiServer();
  const autoscaler = new FakeAutoscaler();
  await Promise.all([api.start(), autoscaler.start()]);
  for (const [collection, object] of objects(podSetting, port)) api.put(collection, object);

  const sidecar = sidecarProgram(sidecarBundle, podSetting);
  const activator = new Program({
    name: "activator",
    command: [process.execPath, activatorBundle],
    folder: setting.folder,
    core: setting.core,
    env: {
      POD_NAME: "activator-0",
      POD_IP: setting.address,
      SYSTEM_NAMESPACE: "knative-serving",
      SWELL_BIND_ADDRESS: setting.address,
      SWELL_AUTOSCALER_ADDRESS: `127.0.0.1:${autoscaler.port}`,
      KUBECONFIG: kubeconfig(setting.folder, api.url),
    },
  });
  const stop = async (): Promise<void> => {
    // Before its clients: a connection reset while it is being shut down is never closed by Node, which then cannot end.
    await api.stop();
    await Promise.all([activator.stop(), sidecar.stop()]);
    autoscaler.server.forceShutdown();
  };
  try {
    await sidecar.accepts(podSetting.address, port);
    await activator.accepts(setting.address, gatewayPort);
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: setting.address, port: gatewayPort, pids: () => [...activator.pids(), ...sidecar.pids()], stop };
}

const nextAddress = (address: string): string => address.replace(/\d+$/, (last) => String(Number(last) + 1));

function kubeconfig(folder: string, server: string): string {
  const file = path.join(folder, "kubeconfig");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "bench", cluster: { server, "insecure-skip-tls-verify": true } }],
    users: [{ name: "bench", user: { token: "bench" } }],
    contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    "current-context": "bench",
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
  return file;
}

function objects(pod: Setting, port: number): [string, KubeObject][] {
  const named = (name: string, extra: object = {}): KubeObject["metadata"] => ({ name, namespace, ...extra });
  const portName = pod.app.protocol === "h2c" ? "h2c" : "http1";
  const split = {
    serviceNamespace: namespace,
    serviceName: revision,
    servicePort: 80,
    percent: 100,
    appendHeaders: { "Knative-Serving-Revision": revision, "Knative-Serving-Namespace": namespace },
  };
  const list: [string, object][] = [
    [
      "/apis/serving.knative.dev/v1/revisions",
      {
        apiVersion: "serving.knative.dev/v1",
        kind: "Revision",
        metadata: named(revision),
        spec: {
          containerConcurrency: pod.containerConcurrency,
          timeoutSeconds: totalSeconds,
          containers: [{ name: "user-container", ports: [{ name: portName, containerPort: 8080 }] }],
        },
      },
    ],
    [
      "/apis/networking.internal.knative.dev/v1alpha1/serverlessservices",
      {
        apiVersion: "networking.internal.knative.dev/v1alpha1",
        kind: "ServerlessService",
        metadata: named(revision),
        spec: { mode: "Serve" },
      },
    ],
    [
      "/apis/networking.internal.knative.dev/v1alpha1/ingresses",
      {
        apiVersion: "networking.internal.knative.dev/v1alpha1",
        kind: "Ingress",
        metadata: named("bench", { annotations: { [annotation.ingressClass]: swellIngressClass } }),
        spec: { rules: [{ hosts: [host], visibility: "ExternalIP", http: { paths: [{ splits: [split] }] } }] },
      },
    ],
    [
      "/api/v1/endpoints",
      {
        apiVersion: "v1",
        kind: "Endpoints",
        metadata: named(`${revision}-private`, {
          labels: { [label.serviceType]: "Private", [label.revision]: revision },
        }),
        subsets: [{ addresses: [{ ip: pod.address }], ports: [{ name: port === 8013 ? "http2" : "http", port }] }],
      },
    ],
    [
      "/api/v1/secrets",
      {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: statsTokenSecret, namespace: "knative-serving" },
        data: { key: Buffer.alloc(32, 1).toString("base64") },
      },
    ],
  ];
  return list.map(([collection, object]) => [collection, object as KubeObject]);
}
