/** Every row of serving-api 4.7: what a Route's conditions and traffic say, and what is written for it. */
import path from "node:path";
import { test } from "tap";
import { services, type Service } from "../../api/core.ts";
import { routes, type Route } from "../../api/serving.ts";
import { objectsIn, reconcileRow, withChanges, type Changes, type ConfigData } from "../table.ts";
import { routeReconciler } from "./reconciler.ts";

const ready = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const says = (status: string, reason = "", message = "") => ({
  status: { conditions: [{ type: "Ready", status, reason, message }] },
});
const traffic = (...targets: object[]) => ({ spec: { traffic: targets } });
const noReady = (status: string, message = "") => ({
  status: { latestReadyRevisionName: null, conditions: [{ type: "Ready", status, message }] },
});
const noTls = "CertificateProvisioned True TLSNotEnabled: external-domain-tls is not enabled";
const asBefore = ["IngressReady True"];

/** The conditions while traffic is not assigned: what was said of the rest stays. */
const unassigned = (status: string, rest: string): string[] => [
  `AllTrafficAssigned ${status} ${rest}`,
  noTls,
  ...asBefore,
  `Ready ${status} ${rest}`,
];
const allWell = ["AllTrafficAssigned True", noTls, "IngressReady True", "Ready True"];
const ingressSays = (rest: string): string[] => [
  "AllTrafficAssigned True",
  noTls,
  `IngressReady ${rest}`,
  `Ready ${rest}`,
];

interface Row {
  name: string;
  change: Changes;
  config?: ConfigData;
  conditions: string[];
  writes?: string[];
  events?: string[];
  error?: string;
}

const statusOnly = ["update routes hello status"];
const named = { revisionName: "hello-00001", latestRevision: false, percent: 100 };

const rows: Row[] = [
  { name: "a Ready Route is left alone", change: {}, conditions: allWell, writes: [] },
  {
    name: "a Configuration that is not there",
    change: { "Configuration hello": null },
    conditions: unassigned("False", 'ConfigurationMissing: Configuration "hello" referenced in traffic not found.'),
  },
  {
    name: "a Revision that is not there",
    change: { "Route hello": traffic({ ...named, revisionName: "hello-7" }) },
    conditions: unassigned("False", 'RevisionMissing: Revision "hello-7" referenced in traffic not found.'),
  },
  {
    name: "a Configuration that waits for its first Revision",
    change: { "Configuration hello": noReady("Unknown") },
    conditions: unassigned(
      "Unknown",
      'RevisionMissing: Configuration "hello" is waiting for a Revision to become ready.',
    ),
  },
  {
    name: "a Configuration that waits and knows for what",
    change: { "Configuration hello": noReady("Unknown", "ErrImagePull: no such image") },
    conditions: unassigned(
      "Unknown",
      'RevisionMissing: Configuration "hello" is waiting for a Revision to become ready: ErrImagePull: no such image',
    ),
  },
  {
    name: "a Configuration whose only Revision failed",
    change: { "Configuration hello": noReady("False") },
    conditions: unassigned("False", 'RevisionMissing: Configuration "hello" does not have any ready Revision.'),
  },
  {
    name: "a named Revision that is not ready yet",
    change: { "Route hello": traffic(named), "Revision hello-00001": says("Unknown") },
    conditions: unassigned("Unknown", 'RevisionMissing: Revision "hello-00001" is not yet ready.'),
  },
  {
    name: "a named Revision that failed",
    change: { "Route hello": traffic(named), "Revision hello-00001": says("False") },
    conditions: unassigned("False", 'RevisionMissing: Revision "hello-00001" failed to become ready.'),
  },
  {
    name: "a latest ready Revision that failed since",
    change: { "Revision hello-00002": says("False", "ExitCode1", "boom") },
    conditions: unassigned("False", 'RevisionMissing: Revision "hello-00002" failed to become ready: boom'),
  },
  {
    name: "a Revision of another Service",
    change: {
      "Route hello": traffic(named),
      "Revision hello-00001": { metadata: { labels: { "serving.knative.dev/service": "other" } } },
    },
    conditions: unassigned(
      "False",
      'RevisionNotOwned: Revision "hello-00001" belongs to Service "other", not Service "hello".',
    ),
  },
  {
    name: "a Revision of no Service",
    change: {
      "Route hello": traffic(named),
      "Revision hello-00001": { metadata: { labels: { "serving.knative.dev/service": null } } },
    },
    conditions: unassigned("False", 'RevisionNotOwned: Revision "hello-00001" does not belong to Service "hello".'),
  },
  {
    name: "of two failures a later one that time cannot cure is told of",
    change: {
      "Route hello": traffic({ ...named, percent: 50 }, { ...named, revisionName: "gone", percent: 50 }),
      "Revision hello-00001": says("Unknown"),
    },
    conditions: unassigned("False", 'RevisionMissing: Revision "gone" referenced in traffic not found.'),
  },
  {
    name: "of two failures that time may cure the first one is told of",
    change: {
      "Route hello": traffic(
        { ...named, percent: 50 },
        { configurationName: "hello", latestRevision: true, percent: 50 },
      ),
      "Revision hello-00001": says("Unknown"),
      "Configuration hello": noReady("Unknown"),
    },
    conditions: unassigned("Unknown", 'RevisionMissing: Revision "hello-00001" is not yet ready.'),
  },
  {
    name: "a domain template that gives no host name",
    change: {},
    config: { "config-network": { "domain-template": "{{.Name}}_{{.Namespace}}.{{.Domain}}" } },
    conditions: unassigned("False", 'ErrorConfig: domain name error: invalid domain name "hello_default.example.com"'),
    events: ['Warning InternalError: domain name error: invalid domain name "hello_default.example.com"'],
    error: 'domain name error: invalid domain name "hello_default.example.com"',
  },
  {
    name: "a Route that has a new generation does not trust the Ingress of the one before",
    change: { "Route hello": { metadata: { generation: 2 }, ...traffic(named) } },
    conditions: ingressSays("Unknown IngressNotConfigured: Ingress has not yet been reconciled."),
    writes: ["update ingresses hello", "update routes hello status"],
  },
  {
    name: "an Ingress without a Ready condition is not reconciled",
    change: { "Ingress hello": { status: { conditions: null } } },
    conditions: ingressSays("Unknown IngressNotConfigured: Ingress has not yet been reconciled."),
  },
  {
    name: "an Ingress that has not seen its generation is not reconciled",
    change: { "Ingress hello": { metadata: { generation: 2 } } },
    conditions: ingressSays("Unknown IngressNotConfigured: Ingress has not yet been reconciled."),
  },
  {
    name: "what an Ingress says is copied",
    change: { "Ingress hello": says("Unknown", "Uninitialized", "Waiting for load balancer to be ready") },
    conditions: ingressSays("Unknown Uninitialized: Waiting for load balancer to be ready"),
  },
  {
    name: "an Ingress that failed fails the Route",
    change: { "Ingress hello": says("False", "NotOwned", "somebody else's") },
    conditions: ingressSays("False NotOwned: somebody else's"),
  },
  {
    name: "an Ingress of somebody else is not touched",
    change: { "Ingress hello": { metadata: { ownerReferences: null } } },
    conditions: ingressSays('False NotOwned: There is an existing Ingress "hello" that we do not own.'),
    events: ['Warning InternalError: There is an existing Ingress "hello" that we do not own.'],
    error: 'There is an existing Ingress "hello" that we do not own.',
  },
  {
    name: "a placeholder Service of somebody else is not touched",
    change: { "Service hello": { metadata: { ownerReferences: null } } },
    conditions: ingressSays('False NotOwned: There is an existing placeholder Service "hello" that we do not own.'),
    events: ['Warning InternalError: There is an existing placeholder Service "hello" that we do not own.'],
    error: 'There is an existing placeholder Service "hello" that we do not own.',
  },
  {
    name: "a new Route makes its Ingress and its placeholder",
    change: { "Route hello": { status: null }, "Ingress hello": null, "Service hello": null },
    conditions: ingressSays("Unknown IngressNotConfigured: Ingress has not yet been reconciled."),
    writes: ["create services hello", "create ingresses hello", "update routes hello status"],
    events: ['Created: Created placeholder service "hello"', 'Created: Created Ingress "hello"'],
  },
  {
    name: "an http-protocol that is none",
    change: { "Route hello": { metadata: { annotations: { "networking.knative.dev/http-protocol": "maybe" } } } },
    conditions: allWell,
    writes: ["update services hello"],
    events: ["Warning InternalError: incorrect http-protocol annotation: maybe"],
    error: "incorrect http-protocol annotation: maybe",
  },
  {
    name: "a Route that is being deleted is left to the garbage collector",
    change: { "Route hello": { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } }, "Ingress hello": null },
    conditions: allWell,
    writes: [],
  },
];

for (const { name, change, config = {}, conditions, writes = statusOnly, events = [], error } of rows)
  test(name, async (t) => {
    const result = await reconcileRow(t, { make: routeReconciler, objects: withChanges(ready, change), config });
    t.same(result.conditions(routes), conditions);
    t.same(result.writes, writes);
    t.same(result.events, events);
    t.equal(result.error, error);
  });

test("the traffic that stood before a failure stands on", async (t) => {
  const { cluster } = await reconcileRow(t, {
    make: routeReconciler,
    objects: withChanges(ready, { "Configuration hello": null }),
  });
  t.same(cluster.find<Route>(routes, "default/hello")?.status?.traffic, [
    { latestRevision: true, percent: 100, revisionName: "hello-00002" },
  ]);
});

const shown: { name: string; targets: object[]; want: object[]; change?: Changes }[] = [
  {
    name: "entries of one tag, Revision and kind are added up",
    targets: [
      { configurationName: "hello", latestRevision: true, percent: 30 },
      { configurationName: "hello", latestRevision: true, percent: 20 },
      { ...named, percent: 50 },
    ],
    want: [
      { revisionName: "hello-00002", latestRevision: true, percent: 50 },
      { revisionName: "hello-00001", latestRevision: false, percent: 50 },
    ],
  },
  {
    name: "a tag has a URL, also with no percent",
    targets: [
      { configurationName: "hello", latestRevision: true, percent: 100 },
      { ...named, percent: 0, tag: "old" },
    ],
    want: [
      { revisionName: "hello-00002", latestRevision: true, percent: 100 },
      {
        tag: "old",
        revisionName: "hello-00001",
        latestRevision: false,
        percent: 0,
        url: "http://old-hello.default.example.com",
      },
    ],
  },
  {
    name: "a private Route's tag has a URL inside the cluster",
    change: { "Route hello": { metadata: { labels: { "networking.knative.dev/visibility": "cluster-local" } } } },
    targets: [{ ...named, tag: "old" }],
    want: [
      {
        tag: "old",
        revisionName: "hello-00001",
        latestRevision: false,
        percent: 100,
        url: "http://old-hello.default.svc.cluster.local",
      },
    ],
  },
];
for (const { name, targets, want, change = {} } of shown)
  test(name, async (t) => {
    const objects = withChanges(withChanges(ready, { "Route hello": traffic(...targets) }), change);
    const { cluster } = await reconcileRow(t, { make: routeReconciler, objects });
    t.same(cluster.find<Route>(routes, "default/hello")?.status?.traffic, want);
  });

const h2c = { name: "http2", port: 80, targetPort: 80, protocol: "TCP", appProtocol: "kubernetes.io/h2c" };
const balancers = (publicOne: object | null, privateOne: object | null = null) => ({
  status: {
    publicLoadBalancer: publicOne === null ? null : { ingress: [publicOne] },
    privateLoadBalancer: privateOne === null ? null : { ingress: [privateOne] },
  },
});
const placeholders: { name: string; change: Changes; spec: object; writes: string[] }[] = [
  {
    name: "before the Ingress names a gateway it leads to the host",
    change: { "Service hello": null, "Ingress hello": balancers(null) },
    spec: { type: "ExternalName", externalName: "hello.default.example.com", sessionAffinity: "None", ports: [h2c] },
    writes: ["create services hello"],
  },
  {
    name: "with an IP it is headless and has Endpoints",
    change: { "Ingress hello": balancers({ ip: "10.1.1.1" }) },
    spec: { type: "ClusterIP", clusterIP: "None", ports: [h2c] },
    writes: ["delete services hello", "create services hello", "create endpoints hello"],
  },
  {
    name: "an IP goes before names",
    change: { "Ingress hello": balancers({ ip: "10.1.1.1", domain: "lb.example.com" }) },
    spec: { type: "ClusterIP", clusterIP: "None", ports: [h2c] },
    writes: ["delete services hello", "create services hello", "create endpoints hello"],
  },
  {
    name: "a name inside the cluster goes before one outside",
    change: { "Ingress hello": balancers({ domainInternal: "gw.ns.svc", domain: "lb.example.com" }) },
    spec: { type: "ExternalName", externalName: "gw.ns.svc", sessionAffinity: "None", ports: [h2c] },
    writes: ["update services hello"],
  },
  {
    name: "a name outside does where there is no other",
    change: { "Ingress hello": balancers({ domain: "lb.example.com" }) },
    spec: { type: "ExternalName", externalName: "lb.example.com", sessionAffinity: "None", ports: [h2c] },
    writes: ["update services hello"],
  },
  {
    name: "a mesh needs no more than a Service",
    change: { "Ingress hello": balancers({ meshOnly: true }) },
    spec: { type: "ClusterIP", ports: [{ name: "http", port: 80, targetPort: 80, protocol: "TCP" }] },
    writes: ["delete services hello", "create services hello"],
  },
  {
    name: "headless for an IP before, it becomes one of a mesh",
    change: {
      "Ingress hello": balancers({ meshOnly: true }),
      "Service hello": { spec: { type: "ClusterIP", clusterIP: "None", externalName: null, sessionAffinity: null } },
    },
    spec: { type: "ClusterIP", ports: [{ name: "http", port: 80, targetPort: 80, protocol: "TCP" }] },
    writes: ["delete services hello", "create services hello"],
  },
  {
    name: "the private gateway goes before the public one",
    change: { "Ingress hello": balancers({ domainInternal: "out.svc" }, { domainInternal: "in.svc" }) },
    spec: { type: "ExternalName", externalName: "in.svc", sessionAffinity: "None", ports: [h2c] },
    writes: ["update services hello"],
  },
  {
    name: "one that is marked private never leads to the public gateway",
    change: {
      "Ingress hello": balancers({ domainInternal: "out.svc" }),
      "Service hello": { metadata: { labels: { "networking.knative.dev/visibility": "cluster-local" } } },
    },
    spec: {
      type: "ExternalName",
      externalName: "gateway-internal.knative-serving.svc.cluster.local",
      sessionAffinity: "None",
      ports: [h2c],
    },
    writes: [],
  },
];
for (const { name, change, spec, writes } of placeholders)
  test(`a placeholder: ${name}`, async (t) => {
    const result = await reconcileRow(t, { make: routeReconciler, objects: withChanges(ready, change) });
    t.same(result.cluster.find<Service>(services, "default/hello")?.spec, spec);
    t.same(
      result.writes.filter((write) => !write.includes("status") && !write.includes("ingresses")),
      writes,
    );
  });

test("placeholders of tags that are gone go, and labels of others stay", async (t) => {
  const own = ready.find(({ kind, apiVersion }) => kind === "Service" && apiVersion === "v1")!;
  const old = { ...own, metadata: { ...own.metadata, name: "old-hello" } };
  const labelled = withChanges(ready, { "Service hello": { metadata: { labels: { mine: "yes" } } } });
  const { writes, cluster } = await reconcileRow(t, { make: routeReconciler, objects: [...labelled, old] });
  t.same(writes, ["delete services old-hello"]);
  t.equal(cluster.find<Service>(services, "default/hello")?.metadata.labels?.["mine"], "yes");
});
