/** Pods on a node: real processes, an API in memory. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type Test } from "tap";
import {
  configMaps,
  endpoints,
  nodes,
  pods,
  secrets,
  type Container,
  type Endpoints,
  type KubeCondition,
  type Pod,
  type PodSpec,
} from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { silentLogger } from "../../process/logger.ts";
import { ImageStore } from "../image/store.ts";
import { startNodeAgent, type NodeAgent } from "./agent.ts";
import { MemoryClient } from "./memory-client.ts";
import { isRunning, readStat } from "./proc.ts";

const app = `
const http = require("node:http");
process.on("SIGTERM", () => { console.log("terminated"); process.exit(0); });
const answer = (request, response) => {
  if (request.url === "/env") return response.end(JSON.stringify(process.env));
  if (request.url === "/pid") return response.end(String(process.pid));
  response.writeHead(request.headers["user-agent"] === "kube-probe/1.34" ? 200 : 404).end();
};
http.createServer(answer).listen(Number(process.env.PORT), process.env.LISTEN ?? process.env.SWELL_BIND_ADDRESS, () => console.log("listening"));
`;

class World implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(tmpdir(), "swell-node-"));
  readonly client = new MemoryClient();
  readonly images = new ImageStore(path.join(this.folder, "images"));
  agent: NodeAgent | undefined;

  constructor() {
    writeFileSync(path.join(this.folder, "app.js"), app);
    this.images.add({ name: "app", directory: this.folder, command: ["node", "app.js"], env: { FROM_IMAGE: "yes" } });
  }

  async start(): Promise<NodeAgent> {
    this.agent = await startNodeAgent({
      client: this.client,
      folder: path.join(this.folder, "node"),
      nodeName: "local",
      podCidr: `127.${100 + (process.pid % 100)}`,
      images: this.images,
      nodeBin: process.execPath,
      issueToken: (namespace, account) => `token of ${namespace}/${account}`,
      apiServer: { url: "https://127.0.0.1:1", ca: "CA" },
      hostListen: () => undefined,
      log: silentLogger,
    });
    return this.agent;
  }

  create(name: string, spec: PodSpec): Promise<Pod> {
    return this.client.create<Pod>(pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace: "default", labels: { app: name } },
      spec,
    });
  }

  until(name: string, accept: (pod: Pod) => boolean): Promise<Pod> {
    return this.client.until<Pod>(pods, `default/${name}`, (pod) => pod !== undefined && accept(pod));
  }

  async gone(name: string): Promise<void> {
    await this.client.until<Pod>(pods, `default/${name}`, (pod) => pod === undefined);
  }

  async logs(pod: Pod, options: { previous?: boolean; follow?: boolean } = {}): Promise<string> {
    const wanted = { follow: false, previous: false, timestamps: false, ...options };
    const chunks: Uint8Array[] = [];
    for await (const chunk of this.agent!.pods.logs(pod, "main", wanted, new AbortController().signal))
      chunks.push(chunk);
    return Buffer.concat(chunks).toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const condition = (pod: Pod, type: string): KubeCondition | undefined =>
  pod.status?.conditions?.find((candidate) => candidate.type === type);
const isReady = (pod: Pod): boolean => condition(pod, "Ready")?.status === "True";
const stateOf = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state ?? {};
const server = (more: Partial<Container> = {}): Container => ({
  name: "main",
  image: "dev.local/app",
  ports: [{ name: "user-port", containerPort: 8080 }],
  env: [{ name: "PORT", value: "8080" }],
  readinessProbe: { httpGet: { port: "user-port", path: "/" } },
  ...more,
});
const script = (source: string, more: Partial<Container> = {}): Container => ({
  name: "main",
  image: "dev.local/app",
  command: ["node", "-e", source],
  ...more,
});

async function ask(pod: Pod, url: string): Promise<string> {
  const map = new Map((await mapOf(pod)).split(",").map((pair) => pair.split("=") as [string, string]));
  return (await fetch(`http://127.0.0.1:${map.get("8080")}${url}`)).text();
}

/** SWELL_PORT_MAP of a pod, read from the environment of its process. */
async function mapOf(pod: Pod): Promise<string> {
  const run = path.join(worlds.get(pod.metadata.uid!)!, "node", "run");
  const { readdirSync } = await import("node:fs");
  for (const file of readdirSync(run)) {
    const record = JSON.parse(readFileSync(path.join(run, file), "utf8")) as { pid: number; podUid: string };
    if (record.podUid !== pod.metadata.uid) continue;
    const env = readFileSync(`/proc/${record.pid}/environ`, "utf8").split("\0");
    return env.find((line) => line.startsWith("SWELL_PORT_MAP="))!.slice("SWELL_PORT_MAP=".length);
  }
  throw new Error("the pod has no process");
}
const worlds = new Map<string, string>();

test("a pod runs, gets its environment, and ends in good order", async (t) => {
  await using world = new World();
  await world.start();
  t.match(await world.client.get(nodes, "local"), {
    status: { conditions: [{}, {}, {}, { type: "Ready", status: "True" }] },
  });
  await world.client.create(configMaps, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "settings", namespace: "default" },
    data: { color: "blue" },
  } as KubeObject);
  await world.client.create(secrets, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "keys", namespace: "default" },
    data: { key: Buffer.from("hidden").toString("base64") },
  } as KubeObject);
  const created = await world.create("web", {
    serviceAccountName: "robot",
    volumes: [{ name: "config", configMap: { name: "settings" } }],
    containers: [
      server({
        volumeMounts: [{ name: "config", mountPath: "/etc/config" }],
        env: [
          { name: "PORT", value: "8080" },
          { name: "LISTEN", value: "127.0.0.1" },
          { name: "URL", value: "http://localhost:$(PORT)" },
          { name: "POD", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          { name: "COLOR", valueFrom: { configMapKeyRef: { name: "settings", key: "color" } } },
          { name: "KEY", valueFrom: { secretKeyRef: { name: "keys", key: "key" } } },
        ],
      }),
    ],
  });
  worlds.set(created.metadata.uid!, world.folder);
  const pod = await world.until("web", isReady);
  t.match(pod, {
    spec: { nodeName: "local" },
    status: {
      phase: "Running",
      podIP: /^127\./,
      hostIP: "127.0.0.1",
      containerStatuses: [{ ready: true, started: true, restartCount: 0, imageID: /^dev\.local\/app@sha256:/ }],
    },
  });
  const env = JSON.parse(await ask(pod, "/env")) as Record<string, string>;
  t.match(env, {
    POD: "web",
    COLOR: "blue",
    KEY: "hidden",
    FROM_IMAGE: "yes",
    SWELL_BIND_ADDRESS: pod.status!.podIP!,
    SWELL_PORT_MAP: `8080=${env["PORT"]}`,
    URL: `http://localhost:${env["PORT"]}`,
    PATH: new RegExp(`^${path.dirname(process.execPath)}:`),
  });
  t.equal(env["npm_lifecycle_event"], undefined, "nothing of this process's environment");
  t.match(readFileSync(env["KUBECONFIG"]!, "utf8"), "token of default/robot");
  t.equal(readFileSync(path.join(env["SWELL_MOUNT_MAP"]!.slice("/etc/config=".length), "color"), "utf8"), "blue");
  t.equal(await world.logs(pod), "listening\n");

  const pid = Number(await ask(pod, "/pid"));
  const { startTicks } = readStat(pid)!;
  const following = world.logs(pod, { follow: true });
  await world.client.delete(pods, "web", "default");
  t.equal(await following, "listening\nterminated\n", "a follower hears the last words");
  await world.gone("web");
  t.notOk(isRunning(pid, startTicks));
});

test("a pod that cannot fit says so, and starts when there is room", async (t) => {
  await using world = new World();
  await world.start();
  const wanting = (cpu: string): PodSpec => ({
    containers: [script("setInterval(() => {}, 1e9)", { resources: { requests: { cpu } } })],
  });
  await world.create("first", wanting("40"));
  await world.until("first", isReady);
  await world.create("second", wanting("40"));
  const pod = await world.until("second", (candidate) => condition(candidate, "PodScheduled") !== undefined);
  t.match(condition(pod, "PodScheduled"), {
    status: "False",
    reason: "Unschedulable",
    message: "0/1 nodes are available: 1 Insufficient cpu.",
  });
  await world.client.delete(pods, "first", "default");
  await world.until("second", isReady);
});

test("a missing image is named with what to do, and found when it is added", async (t) => {
  await using world = new World();
  await world.start();
  await world.create("web", { containers: [script("setInterval(() => {}, 1e9)", { image: "dev.local/shop:v2" })] });
  const pod = await world.until("web", (candidate) => stateOf(candidate).waiting?.reason === "ErrImagePull");
  t.equal(
    stateOf(pod).waiting?.message,
    'image "dev.local/shop:v2" is not in the local image store; add it with: npm run image -- add shop:v2 DIR --cmd "node app.js"',
  );
  world.images.add({ name: "shop:v2", directory: world.folder, command: ["node", "app.js"] });
  await world.until("web", isReady);
});

test("a container that exits is started again, and its last words stand in its status", async (t) => {
  await using world = new World();
  await world.start();
  await world.create("web", {
    containers: [
      script("console.error('cannot find the thing'); process.exit(3)", {
        terminationMessagePolicy: "FallbackToLogsOnError",
      }),
    ],
  });
  const pod = await world.until("web", (candidate) => stateOf(candidate).waiting?.reason === "CrashLoopBackOff");
  const { name, uid } = pod.metadata;
  t.match(pod.status?.containerStatuses?.[0], {
    restartCount: 1,
    ready: false,
    state: { waiting: { message: `back-off 10s restarting failed container=main pod=${name}_default(${uid})` } },
    lastState: { terminated: { exitCode: 3, reason: "Error", message: "cannot find the thing" } },
  });
  t.equal(await world.logs(pod), "cannot find the thing\n");
  t.equal(await world.logs(pod, { previous: true }), "cannot find the thing\n");
  await world.client.delete(pods, "web", "default");
  await world.gone("web");
});

test("a program that does not exist is a StartError", async (t) => {
  await using world = new World();
  await world.start();
  await world.create("web", { restartPolicy: "Never", containers: [script("", { command: ["no-such-program"] })] });
  const pod = await world.until("web", (candidate) => candidate.status?.phase === "Failed");
  t.match(stateOf(pod).terminated, {
    exitCode: 128,
    reason: "StartError",
    message: 'cannot start "no-such-program": no such program on PATH',
  });
});

test("init containers run one after the other, then the containers", async (t) => {
  await using world = new World();
  await world.start();
  const file = path.join(world.folder, "order");
  const append = (word: string): string => `require("fs").appendFileSync(${JSON.stringify(file)}, "${word} ")`;
  await world.create("job", {
    restartPolicy: "Never",
    initContainers: [script(append("one"), { name: "one" }), script(append("two"), { name: "two" })],
    containers: [script(append("main"))],
  });
  const pod = await world.until("job", (candidate) => candidate.status?.phase === "Succeeded");
  t.equal(readFileSync(file, "utf8"), "one two main ");
  t.equal(condition(pod, "Initialized")?.status, "True");
});

test("preStop is waited for before SIGTERM, and the grace period ends a stubborn container", async (t) => {
  await using world = new World();
  await world.start();
  const marks = path.join(world.folder, "marks");
  const mark = (word: string): string => `require("fs").appendFileSync(${JSON.stringify(marks)}, "${word} ")`;
  await world.create("web", {
    terminationGracePeriodSeconds: 1,
    containers: [
      script(`process.on("SIGTERM", () => { ${mark("term")} }); setInterval(() => {}, 1e9); ${mark("up")}`, {
        lifecycle: { preStop: { exec: { command: ["node", "-e", mark("hook")] } } },
        readinessProbe: { exec: { command: ["node", "-e", `require("fs").readFileSync(${JSON.stringify(marks)})`] } },
      }),
    ],
  });
  await world.until("web", isReady);
  await world.client.delete(pods, "web", "default");
  await world.gone("web");
  t.equal(readFileSync(marks, "utf8"), "up hook term ");
});

test("a liveness probe that fails restarts the container", async (t) => {
  await using world = new World();
  await world.start();
  await world.create("web", {
    containers: [
      script("setInterval(() => {}, 1e9)", {
        livenessProbe: { exec: { command: ["node", "-e", "process.exit(1)"] }, periodSeconds: 1, failureThreshold: 1 },
      }),
    ],
  });
  const pod = await world.until(
    "web",
    (candidate) => (candidate.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0,
  );
  t.match(pod.status?.containerStatuses?.[0]?.lastState?.terminated, { exitCode: 143, reason: "Error" });
});

test("an app that ignores $PORT gets a message, which goes when it listens", async (t) => {
  await using world = new World();
  await world.start();
  const created = await world.create("web", {
    containers: [
      server({
        command: [
          "node",
          "-e",
          `const http = require("http"); http.createServer().listen(0, "127.0.0.1");
           process.on("SIGUSR2", () => http.createServer((_, r) => r.end()).listen(process.env.PORT, "127.0.0.1"));`,
        ],
      }),
    ],
  });
  const pod = await world.until("web", (candidate) => condition(candidate, "swell.dev/AppListening") !== undefined);
  t.match(
    condition(pod, "swell.dev/AppListening")?.message,
    /^container main listens on port \d+, not on \$PORT \(PORT=\d+ here\); make it listen on \$PORT$/,
  );
  const run = path.join(world.folder, "node", "run");
  const { readdirSync } = await import("node:fs");
  process.kill(Number.parseInt(readdirSync(run)[0]!, 10), "SIGUSR2");
  const ready = await world.until("web", isReady);
  t.equal(condition(ready, "swell.dev/AppListening"), undefined);
  t.ok(created);
});

test("names of Services resolve to their ready addresses", async (t) => {
  await using world = new World();
  await world.client.create<Endpoints>(endpoints, {
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "db", namespace: "shop" },
    subsets: [{ addresses: [{ ip: "127.9.0.1" }, { ip: "127.9.0.2" }], notReadyAddresses: [{ ip: "127.9.0.3" }] }],
  });
  await world.start();
  t.equal(
    readFileSync(path.join(world.folder, "node", "hosts"), "utf8"),
    "127.9.0.1 db.shop.svc.cluster.local\n127.9.0.2 db.shop.svc.cluster.local\n",
  );
});

test("a node that comes back ends what was left and starts the pods afresh", async (t: Test) => {
  await using world = new World();
  const agent = await world.start();
  const created = await world.create("web", {
    containers: [
      server({
        env: [
          { name: "PORT", value: "8080" },
          { name: "LISTEN", value: "127.0.0.1" },
        ],
      }),
    ],
  });
  worlds.set(created.metadata.uid!, world.folder);
  const before = await world.until("web", isReady);
  const pid = Number(await ask(before, "/pid"));
  const { startTicks } = readStat(pid)!;
  const { cpSync } = await import("node:fs");
  // What a kill -9 of the node would leave: the record and the process.
  const run = path.join(world.folder, "node", "run");
  cpSync(run, path.join(world.folder, "kept"), { recursive: true });
  t.ok(isRunning(pid, startTicks));

  await agent.stop();
  t.notOk(isRunning(pid, startTicks), "a node that stops ends its processes");
  t.ok(isReady(await world.client.get<Pod>(pods, "web", "default")), "and leaves the pods as they are stored");
  cpSync(path.join(world.folder, "kept"), run, { recursive: true });

  await world.start();
  t.notOk(isReady(await world.client.get<Pod>(pods, "web", "default")), "nobody takes the old process for a ready one");
  const after = await world.until("web", isReady);
  t.match(after.status?.containerStatuses?.[0], {
    restartCount: 1,
    lastState: { terminated: { exitCode: 137, reason: "Unknown" } },
  });
});
