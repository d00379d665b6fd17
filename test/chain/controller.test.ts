/** What the controller makes of a Service, step by step, against the embedded API server. */
import { test } from "tap";
import { conditionOf, isFailed, isReady } from "../../api/conditions.ts";
import {
  deployments,
  endpoints,
  pods,
  services,
  type Deployment,
  type Endpoints,
  type Pod,
  type Service,
} from "../../api/core.ts";
import { annotation, label } from "../../api/keys.ts";
import { kIngresses, serverlessServices, type KIngress, type ServerlessService } from "../../api/networking.ts";
import { kServices, revisions, routes, type KService, type Revision, type Route } from "../../api/serving.ts";
import { startControlPlane } from "./control-plane.ts";

const ksvc = (name: string, spec: Partial<KService["spec"]> = {}): KService => ({
  apiVersion: "serving.knative.dev/v1",
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec: {
    template: {
      spec: { containers: [{ name: "user-container", image: "dev.local/hello" }], timeoutSeconds: 300 },
    },
    traffic: [{ latestRevision: true, percent: 100 }],
    ...spec,
  },
});

test("a Service becomes Ready with all its children, and then nothing is written any more", async (t) => {
  const plane = await startControlPlane(t);
  await plane.client.create(kServices, ksvc("hello"));
  await plane.bringUp("hello-00001");
  const ready = await plane.until<KService>(kServices, "hello", isReady);

  t.match(ready.status, {
    url: "http://hello.default.example.com",
    address: { url: "http://hello.default.svc.cluster.local" },
    latestCreatedRevisionName: "hello-00001",
    latestReadyRevisionName: "hello-00001",
    observedGeneration: 1,
    traffic: [{ latestRevision: true, percent: 100, revisionName: "hello-00001" }],
  });
  t.same(
    ready.status?.conditions?.map(({ type, status }) => `${type}=${status}`),
    ["ConfigurationsReady=True", "Ready=True", "RoutesReady=True"],
  );

  const revision = await plane.client.get<Revision>(revisions, "hello-00001", "default");
  t.match(revision.metadata.labels, {
    [label.configuration]: "hello",
    [label.configurationGeneration]: "1",
    [label.routingState]: "active",
    [label.service]: "hello",
  });
  t.equal(revision.metadata.annotations?.[annotation.routes], "hello");
  t.equal(conditionOf(revision, "Active")?.severity, "Info");
  t.same(revision.status?.containerStatuses, [{ name: "user-container" }]);

  const deployment = await plane.client.get<Deployment>(deployments, "hello-00001-deployment", "default");
  const [user, sidecar] = deployment.spec.template.spec.containers;
  t.same(
    user?.env?.map(({ name, value }) => `${name}=${value}`),
    ["PORT=8080", "K_REVISION=hello-00001", "K_CONFIGURATION=hello", "K_SERVICE=hello"],
  );
  t.match(user?.lifecycle, { preStop: { httpGet: { path: "/wait-for-drain", port: 8022 } } });
  t.equal(sidecar?.name, "queue-proxy");
  t.equal(
    sidecar?.env?.find(({ name }) => name === "SERVING_READINESS_PROBE")?.value,
    '{"tcpSocket":{"port":8080,"host":"127.0.0.1"},"successThreshold":1}',
  );
  t.same(
    sidecar?.env?.slice(-2).map(({ name }) => name),
    ["SWELL_STATS_ADDRESS", "SWELL_STATS_TOKEN"],
  );
  t.same(deployment.spec.selector, { matchLabels: { [label.revisionUID]: revision.metadata.uid } });

  const ingress = await plane.client.get<KIngress>(kIngresses, "hello", "default");
  t.match(ingress.spec.rules, [
    {
      hosts: ["hello.default", "hello.default.svc", "hello.default.svc.cluster.local"],
      visibility: "ClusterLocal",
      http: { paths: [{ splits: [{ serviceName: "hello-00001", servicePort: 80, percent: 100 }] }] },
    },
    { hosts: ["hello.default.example.com"], visibility: "ExternalIP" },
  ]);
  t.equal(
    ingress.metadata.annotations?.[annotation.rollout],
    '{"configurations":[{"configurationName":"hello","percent":100,"revisions":[{"revisionName":"hello-00001","percent":100}],"stepParams":{}}]}',
  );
  const placeholder = await plane.until<Service>(
    services,
    "hello",
    ({ spec }) => spec.externalName === "gateway-internal.knative-serving.svc.cluster.local",
  );
  t.equal(placeholder.spec.type, "ExternalName");

  await plane.settled();
  const creates = plane.writes.filter((write) => write.startsWith("create"));
  t.equal(new Set(creates).size, creates.length, "nothing is made twice");
  t.same(
    plane.writes.filter((write) => write.startsWith("patch") || write.startsWith("delete")),
    [],
    "and nothing is mended",
  );
  for (const [kind, most] of [
    ["services", 6],
    ["configurations", 3],
    ["revisions", 4],
    ["routes", 4],
    ["ingresses", 2],
  ] as const) {
    const count = plane.writes.filter(
      (write) => write === `update ${kind} ${kind === "revisions" ? "hello-00001" : "hello"} status`,
    );
    t.ok(count.length <= most, `${count.length} statuses of ${kind}, at most ${most}`);
  }
  const before = plane.writes.length;
  // A touch that changes nothing runs every reconciler of the Service.
  const stored = await plane.client.get<KService>(kServices, "hello", "default");
  const labels = { touched: "yes" };
  await plane.client.update(kServices, { ...stored, metadata: { ...stored.metadata, labels } });
  await plane.until<Route>(routes, "hello", (route) => route.metadata.labels?.["touched"] === "yes");
  await plane.settled();
  t.notMatch(plane.writes.slice(before).join("\n"), "status", "no status says anything new");
  const events = plane.events.filter((event) => event.startsWith("Created"));
  for (const what of ['Configuration "hello"', 'Route "hello"', 'Revision "hello-00001"', 'Ingress "hello"'])
    t.ok(events.includes(`Created: Created ${what}`), what);
  t.same(
    plane.events.filter((event) => event.startsWith("InternalError")),
    [],
  );
});

test("traffic is split between Revisions, and tags have hosts of their own", async (t) => {
  const plane = await startControlPlane(t);
  await plane.client.create(kServices, ksvc("hello"));
  await plane.bringUp("hello-00001");
  const first = await plane.until<KService>(kServices, "hello", isReady);
  const next = ksvc("hello", {
    traffic: [
      { latestRevision: true, percent: 90 },
      { latestRevision: false, revisionName: "hello-00001", percent: 10, tag: "old" },
    ],
  });
  next.spec.template.spec.containers[0]!.env = [{ name: "A", value: "b" }];
  await plane.client.update(kServices, { ...first, spec: next.spec });
  await plane.bringUp("hello-00002");
  const ready = await plane.until<KService>(
    kServices,
    "hello",
    (object) => isReady(object) && object.status?.latestReadyRevisionName === "hello-00002",
  );
  t.same(ready.status?.traffic, [
    { latestRevision: true, percent: 90, revisionName: "hello-00002" },
    {
      latestRevision: false,
      percent: 10,
      revisionName: "hello-00001",
      tag: "old",
      url: "http://old-hello.default.example.com",
    },
  ]);
  const ingress = await plane.client.get<KIngress>(kIngresses, "hello", "default");
  t.same(
    ingress.spec.rules?.map(({ hosts, http }) => [
      hosts?.at(-1),
      ...http.paths[0]!.splits.map(({ serviceName, percent }) => `${serviceName}=${percent}`),
    ]),
    [
      ["hello.default.svc.cluster.local", "hello-00002=90", "hello-00001=10"],
      ["hello.default.example.com", "hello-00002=90", "hello-00001=10"],
      ["old-hello.default.svc.cluster.local", "hello-00001=100"],
      ["old-hello.default.example.com", "hello-00001=100"],
    ],
  );
  t.equal(
    ingress.metadata.annotations?.[annotation.tagToHost],
    '{"old":["old-hello.default.svc.cluster.local","old-hello.default.example.com"]}',
  );

  // Traffic alone makes no Revision; a Revision without traffic is kept in reserve.
  const stored = await plane.client.get<KService>(kServices, "hello", "default");
  await plane.client.update(kServices, {
    ...stored,
    spec: { ...stored.spec, traffic: [{ latestRevision: true, percent: 100 }] },
  });
  await plane.until<Revision>(
    revisions,
    "hello-00001",
    ({ metadata }) => metadata.labels?.[label.routingState] === "reserve",
  );
  t.equal((await plane.client.list(revisions, { namespace: "default" })).items.length, 2);
});

test("what holds a first Revision back is told up to the Service, before any deadline", async (t) => {
  const plane = await startControlPlane(t);
  await plane.client.create(kServices, ksvc("hello"));
  const deployment = await plane.until<Deployment>(deployments, "hello-00001-deployment", () => true);
  const message = 'image "dev.local/hello" is not in the local image store';
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "hello-1", namespace: "default", ...deployment.spec.template.metadata, creationTimestamp: "" },
    spec: { containers: [{ name: "user-container", image: "dev.local/hello" }] },
  };
  delete pod.metadata.creationTimestamp;
  const created = await plane.client.create<Pod>(pods, pod);
  const status = { name: "user-container", image: "dev.local/hello", imageID: "", ready: false, restartCount: 0 };
  const waiting = await plane.client.update<Pod>(
    pods,
    {
      ...created,
      status: {
        phase: "Pending",
        containerStatuses: [{ ...status, state: { waiting: { reason: "ErrImagePull", message } } }],
      },
    },
    { subresource: "status" },
  );
  const held = await plane.until<KService>(kServices, "hello", (object) =>
    (conditionOf(object, "Ready")?.message ?? "").includes(message),
  );
  t.match(conditionOf(held, "Ready"), {
    status: "Unknown",
    reason: "RevisionMissing",
    message: `Configuration "hello" is waiting for a Revision to become ready: ErrImagePull: ${message}`,
  });
  t.match(conditionOf(held, "ConfigurationsReady"), { status: "Unknown", message: `ErrImagePull: ${message}` });
  t.equal(conditionOf(held, "ConfigurationsReady")?.reason, undefined);

  const terminated = { exitCode: 3, message: "cannot find the thing" };
  await plane.client.update<Pod>(
    pods,
    {
      ...waiting,
      status: {
        phase: "Running",
        containerStatuses: [
          { ...status, restartCount: 1, state: { waiting: { reason: "CrashLoopBackOff" } }, lastState: { terminated } },
        ],
      },
    },
    { subresource: "status" },
  );
  const failed = await plane.until<KService>(
    kServices,
    "hello",
    (object) => conditionOf(object, "RoutesReady")?.status === "False",
  );
  t.match(conditionOf(failed, "Ready"), {
    status: "False",
    message: /cannot find the thing/,
  });
  t.match(conditionOf(await plane.client.get<Revision>(revisions, "hello-00001", "default"), "Ready"), {
    status: "False",
    reason: "ExitCode3",
    message: "Container failed with: cannot find the thing",
  });
});

test("a ServerlessService leads to the activators until the Revision has a ready pod", async (t) => {
  const plane = await startControlPlane(t);
  const addressed = (name: string, namespace: string, ips: string[]): Endpoints => ({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name, namespace },
    subsets: [
      {
        addresses: ips.map((ip) => ({ ip })),
        ports: [
          { name: "http", port: 8012, protocol: "TCP" },
          { name: "http2", port: 8013, protocol: "TCP" },
        ],
      },
    ],
  });
  const activators = [1, 2, 3, 4, 5].map((last) => `10.0.0.${last}`);
  await plane.client.create(endpoints, addressed("activator-service", "knative-serving", activators));
  await plane.client.create(kServices, ksvc("hello"));
  await plane.until<Deployment>(deployments, "hello-00001-deployment", () => true);
  const sks = await plane.client.create<ServerlessService>(serverlessServices, {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "ServerlessService",
    metadata: { name: "hello-00001", namespace: "default" },
    spec: {
      mode: "Serve",
      objectRef: { apiVersion: "apps/v1", kind: "Deployment", name: "hello-00001-deployment" },
      protocolType: "http1",
      numActivators: 1,
    },
  });
  const backedBy = async (...ips: string[]): Promise<void> => {
    const found = await plane.until<Endpoints>(endpoints, "hello-00001", ({ subsets = [] }) => {
      const addresses = subsets.flatMap((subset) => subset.addresses ?? []);
      return addresses.map(({ ip }) => ip).join() === ips.join();
    });
    t.same(
      found.subsets?.flatMap(({ ports = [] }) => ports.map(({ port }) => port)),
      [8012],
      "only the serving port",
    );
  };
  await backedBy("10.0.0.5");
  const idle = await plane.until<ServerlessService>(
    serverlessServices,
    "hello-00001",
    (object) => conditionOf(object, "EndpointsPopulated")?.reason === "NoHealthyBackends",
  );
  t.match(idle.status, { serviceName: "hello-00001", privateServiceName: "hello-00001-private" });
  t.match(conditionOf(idle, "EndpointsPopulated"), { status: "Unknown", message: "K8s Service is not ready" });
  t.match(conditionOf(idle, "ActivatorEndpointsPopulated"), { status: "True", severity: "Info" });
  const privateService = await plane.client.get<Service>(services, "hello-00001-private", "default");
  t.same(
    privateService.spec.ports?.map(({ name, port, targetPort }) => [name, port, targetPort]),
    [
      ["http", 80, 8012],
      ["https", 443, 8112],
      ["http-autometric", 9090, 9090],
      ["http-usermetric", 9091, 9091],
      ["http-istio", 8012, 8012],
    ],
  );

  await plane.client.create(endpoints, addressed("hello-00001-private", "default", ["127.0.2.1"]));
  await backedBy("127.0.2.1");
  const served = await plane.until<ServerlessService>(serverlessServices, "hello-00001", isReady);
  t.equal(conditionOf(served, "ActivatorEndpointsPopulated")?.status, "False");
  const stored = await plane.client.get<ServerlessService>(serverlessServices, "hello-00001", "default");
  await plane.client.update(serverlessServices, { ...stored, spec: { ...sks.spec, mode: "Proxy", numActivators: 0 } });
  await backedBy(...activators);
});

test("what belongs to somebody else is left alone and named", async (t) => {
  const plane = await startControlPlane(t);
  await plane.client.create<Route>(routes, {
    apiVersion: "serving.knative.dev/v1",
    kind: "Route",
    metadata: { name: "hello", namespace: "default" },
    spec: { traffic: [{ configurationName: "other", latestRevision: true, percent: 100 }] },
  });
  await plane.client.create(kServices, ksvc("hello"));
  const service = await plane.until<KService>(
    kServices,
    "hello",
    (object) => conditionOf(object, "RoutesReady")?.reason === "NotOwned",
  );
  t.match(conditionOf(service, "Ready"), {
    status: "False",
    reason: "NotOwned",
    message: 'There is an existing Route "hello" that we do not own.',
  });
  const route = await plane.until<Route>(routes, "hello", (object) => isFailed(object));
  t.match(conditionOf(route, "AllTrafficAssigned"), {
    reason: "ConfigurationMissing",
    message: 'Configuration "other" referenced in traffic not found.',
  });
});
