/** What is deployed under the load, and who asks it. */
import path from "node:path";
import { ImageStore, imageFolder } from "../../local/image/store.ts";
import type { Cluster } from "../../test/e2e/cluster.ts";
import { burstClient } from "./burst-client.ts";
import type { Client } from "./client.ts";
import { grpcClient } from "./grpc-client.ts";
import { http1Client } from "./http1-client.ts";
import { http2Client } from "./http2-client.ts";
import type { Ledger, Load } from "./ledger.ts";
import { Random } from "./random.ts";
import { webSocketClient } from "./websocket-client.ts";

export interface SoakService {
  name: string;
  containerConcurrency: number;
  annotations: Readonly<Record<string, string>>;
  protocol: "http1" | "h2c";
}

const scaling = "autoscaling.knative.dev";

export const services: readonly SoakService[] = [
  { name: "echo", containerConcurrency: 0, annotations: { [`${scaling}/min-scale`]: "2" }, protocol: "http1" },
  { name: "single", containerConcurrency: 1, annotations: { [`${scaling}/min-scale`]: "1" }, protocol: "http1" },
  // Always with the activator in its path, and gone between bursts.
  { name: "burst", containerConcurrency: 0, annotations: { [`${scaling}/window`]: "6s" }, protocol: "http1" },
  { name: "stream", containerConcurrency: 0, annotations: { [`${scaling}/min-scale`]: "1" }, protocol: "h2c" },
];

interface Worker {
  load: Load;
  service: string;
  client: Client;
  workers: number;
  thinkMs: number;
}

const workers: readonly Worker[] = [
  { load: "HTTP/1 GET", service: "echo", client: http1Client, workers: 4, thinkMs: 60 },
  { load: "HTTP/1 POST", service: "echo", client: http1Client, workers: 4, thinkMs: 60 },
  { load: "HTTP/1 POST, new connection", service: "echo", client: http1Client, workers: 3, thinkMs: 30 },
  { load: "HTTP/1 GET, one at a time", service: "single", client: http1Client, workers: 3, thinkMs: 80 },
  { load: "HTTP/1 GET, from zero", service: "burst", client: burstClient, workers: 1, thinkMs: 18_000 },
  { load: "h2c GET", service: "stream", client: http2Client, workers: 2, thinkMs: 60 },
  { load: "h2c POST", service: "stream", client: http2Client, workers: 2, thinkMs: 60 },
  { load: "gRPC unary", service: "stream", client: grpcClient, workers: 2, thinkMs: 60 },
  { load: "gRPC bidi", service: "stream", client: grpcClient, workers: 2, thinkMs: 60 },
  { load: "WebSocket", service: "echo", client: webSocketClient, workers: 3, thinkMs: 60 },
];

/** Runs the workers of `of` services until `stop`; resolves when what they had begun is over. */
export async function runLoad(
  options: { port: number; ledger: Ledger; random: Random; of?: ReadonlySet<string> },
  stop: AbortSignal,
): Promise<void> {
  const { port, ledger, random, of } = options;
  const clients = workers.flatMap(({ load, service, client, workers: count, thinkMs }) =>
    Array.from({ length: of === undefined || of.has(service) ? count : 0 }, () => {
      const host = `${service}.default.localhost`;
      return client({ port, host, load, ledger, random: new Random(random.below(2 ** 31)), thinkMs }, stop);
    }),
  );
  await Promise.all(clients);
}

export const imageName = "dev.local/soak";

export function addImage(data: string): void {
  const directory = path.join(import.meta.dirname, "app");
  new ImageStore(imageFolder(data)).add({ name: imageName, directory, command: ["node", "app.ts"] });
}

/** Each `version` is a revision of its own. */
export async function apply(cluster: Cluster, service: SoakService, version: number): Promise<void> {
  const h2c = service.protocol === "h2c";
  const env = [{ name: "VERSION", value: String(version) }, ...(h2c ? [{ name: "PROTOCOL", value: "h2c" }] : [])];
  const container = {
    image: imageName,
    env,
    ...(h2c ? { ports: [{ name: "h2c", containerPort: 8080 }] } : {}),
  };
  const object = {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name: service.name },
    spec: {
      template: {
        metadata: { annotations: service.annotations },
        spec: { containerConcurrency: service.containerConcurrency, containers: [container] },
      },
    },
  };
  await cluster.k("apply -f -", JSON.stringify(object));
}
