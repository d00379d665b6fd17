import { test } from "tap";
import type { KubeObject, ObjectMeta } from "../meta.ts";
import type { KService } from "../serving.ts";
import {
  configuration,
  defaulted,
  domainMapping,
  internal,
  revision,
  route,
  service,
  type Fields,
  type PlatformEdit,
} from "../validation/samples.ts";

const creator = "serving.knative.dev/creator";
const modifier = "serving.knative.dev/lastModifier";
const image = "dev.local/hello:1";

test("a Service, in full", (t) => {
  t.same(defaulted(service()), {
    apiVersion: "serving.knative.dev/v1",
    kind: "Service",
    metadata: { name: "hello", namespace: "default", annotations: { [creator]: "ada", [modifier]: "ada" } },
    spec: {
      template: {
        metadata: {},
        spec: {
          containerConcurrency: 0,
          containers: [
            {
              image,
              name: "user-container",
              readinessProbe: { successThreshold: 1, tcpSocket: { port: 0 } },
              resources: {},
            },
          ],
          enableServiceLinks: false,
          timeoutSeconds: 300,
        },
      },
      traffic: [{ latestRevision: true, percent: 100 }],
    },
  });
  t.end();
});

const target = { apiVersion: "apps/v1", kind: "Deployment", name: "d" };
const scaled = (annotations: Record<string, string>) =>
  internal("PodAutoscaler", { scaleTargetRef: target }, { annotations });
const classKey = "autoscaling.knative.dev/class";
const metricKey = "autoscaling.knative.dev/metric";

test("what each kind gets", (t) => {
  const cases: {
    name: string;
    object: KubeObject;
    want: (object: KubeObject & { spec: Fields }) => unknown;
    is: unknown;
    platform?: PlatformEdit;
  }[] = [
    {
      name: "a target of a Route",
      object: route([{ revisionName: "r", percent: 100 }, { configurationName: "c" }]),
      want: ({ spec }) => spec["traffic"],
      is: [
        { revisionName: "r", percent: 100, latestRevision: false },
        { configurationName: "c", percent: 0, latestRevision: true },
      ],
    },
    { name: "a Route without targets", object: route([]), want: ({ spec }) => spec, is: { traffic: [] } },
    {
      name: "a Service's target that says nothing",
      object: service({}, {}, { traffic: [{ revisionName: "", tag: "t" }] }),
      want: ({ spec }) => spec["traffic"],
      is: [{ tag: "t", latestRevision: true, percent: 0 }],
    },
    {
      name: "a DomainMapping",
      object: domainMapping(),
      want: ({ spec }) => (spec["ref"] as Fields)["namespace"],
      is: "default",
    },
    {
      name: "a DomainMapping that says where",
      object: domainMapping({ namespace: "other" }),
      want: ({ spec }) => (spec["ref"] as Fields)["namespace"],
      is: "other",
    },
    {
      name: "a PodAutoscaler",
      object: scaled({}),
      want: ({ metadata }) => metadata.annotations,
      is: { [classKey]: "kpa.autoscaling.knative.dev", [metricKey]: "concurrency" },
    },
    {
      name: "an HPA",
      object: scaled({ [classKey]: "hpa.autoscaling.knative.dev" }),
      want: ({ metadata }) => metadata.annotations?.[metricKey],
      is: "cpu",
    },
    {
      name: "an autoscaler of another class",
      object: scaled({ [classKey]: "mine" }),
      want: ({ metadata }) => metadata.annotations?.[metricKey],
      is: "",
    },
    {
      name: "a PodAutoscaler with a metric",
      object: scaled({ [metricKey]: "rps" }),
      want: ({ metadata }) => metadata.annotations?.[metricKey],
      is: "rps",
    },
    {
      name: "a PodAutoscaler where the cluster has a class",
      object: scaled({}),
      want: ({ metadata }) => metadata.annotations?.[classKey],
      is: "mine",
      platform: { autoscaler: { "pod-autoscaler-class": "mine" } },
    },
    {
      name: "an Ingress",
      object: internal("Ingress", {
        rules: [
          { http: { paths: [{ splits: [{ serviceName: "s" }] }] } },
          { visibility: "ClusterLocal", http: { paths: [{ splits: [{ percent: 1 }, { percent: 99 }] }] } },
        ],
      }),
      want: ({ spec }) => spec["rules"],
      is: [
        { visibility: "ExternalIP", http: { paths: [{ splits: [{ serviceName: "s", percent: 100 }] }] } },
        { visibility: "ClusterLocal", http: { paths: [{ splits: [{ percent: 1 }, { percent: 99 }] }] } },
      ],
    },
    {
      name: "a Revision, but no name of a user",
      object: revision(),
      want: ({ metadata, spec }) => [metadata.annotations, spec["timeoutSeconds"]],
      is: [undefined, 300],
    },
    {
      name: "a Certificate gets nothing",
      object: internal("Certificate", { dnsNames: [] }),
      want: (object) => object,
      is: internal("Certificate", { dnsNames: [] }),
    },
    {
      name: "a Service without a spec gets no more than its maker",
      object: { ...service(), spec: undefined } as KubeObject,
      want: ({ spec, metadata }) => [spec, Object.keys(metadata.annotations ?? {})],
      is: [undefined, [creator, modifier]],
    },
  ];
  for (const { name, object, want, is, platform = {} } of cases)
    t.same(want(defaulted(object, { platform }) as KubeObject & { spec: Fields }), is, name);
  t.end();
});

test("names of users", (t) => {
  const users = ({ metadata }: KubeObject) => [metadata.annotations?.[creator], metadata.annotations?.[modifier]];
  const forged = { annotations: { [creator]: "eve", [modifier]: "eve" } };
  const owned = { ownerReferences: [{ apiVersion: "v1", kind: "Service", name: "s", uid: "u" }] };
  const edits: Record<string, (metadata: ObjectMeta, edited?: boolean) => KubeObject> = {
    Service: (metadata, edited) => service(edited ? { container: { image: "dev.local/b:1" } } : {}, metadata),
    DomainMapping: (metadata, edited) => domainMapping(edited ? { name: "b" } : {}, metadata),
    Configuration: (metadata, edited) =>
      configuration(edited ? { container: { image: "dev.local/b:1" } } : {}, metadata),
    Route: (metadata, edited) => route([{ revisionName: edited ? "b" : "a", percent: 100 }], metadata),
  };
  for (const [kind, make] of Object.entries(edits)) {
    const old = defaulted(make({}));
    const { annotations = {} } = old.metadata;
    t.same(users(defaulted(make(forged))), ["ada", "ada"], `${kind}: whoever makes it, whatever they say`);
    t.same(
      users(defaulted(make({ annotations }, true), { old, username: "bob" })),
      ["ada", "bob"],
      `${kind}: whoever changes it`,
    );
    t.same(
      users(defaulted({ ...old, metadata: { ...old.metadata, labels: { a: "b" } } }, { old, username: "bob" })),
      ["ada", "ada"],
      `${kind}: nobody who changes a label`,
    );
    t.same(
      users(defaulted(make({ annotations }, true), { old, username: "bob", subresource: "status" })),
      ["ada", "ada"],
      `${kind}: nobody who writes its status`,
    );
    const inherits = kind === "Configuration" || kind === "Route";
    t.same(
      users(defaulted(make({ ...owned, ...forged }))),
      inherits ? ["eve", "eve"] : ["ada", "ada"],
      `${kind}: its owner`,
    );
  }
  const old = defaulted(service());
  const platform = { defaults: { requests: { cpu: "1" }, containerConcurrency: 5 } };
  const relabelled = { ...old, metadata: { ...old.metadata, labels: { a: "b" } } };
  t.same(
    users(defaulted(relabelled, { old, username: "bob", platform })),
    ["ada", "ada"],
    "nobody when the cluster's defaults have changed",
  );
  t.end();
});

test("updates", (t) => {
  const old = defaulted(service({ metadata: { name: "hello-v1" } })) as KService;
  const platform = { defaults: { requests: { cpu: "1" } } };
  t.same(
    defaulted(old, { old, platform }),
    old,
    "a template that names its Revision stays as it is under new defaults",
  );
  const renamed = structuredClone(old);
  renamed.spec.template.metadata!.name = "hello-v2";
  const [container] = (defaulted(renamed, { old, platform }) as KService).spec.template.spec.containers;
  t.same(container?.resources, { requests: { cpu: "1" } }, "until it names another");
  const bare = service();
  const { enableServiceLinks } = (defaulted(bare, { old: bare }) as KService).spec.template.spec;
  t.equal(enableServiceLinks, undefined, "service links are only decided when it is made");
  t.same(defaulted(revision(), { old: revision() }), revision(), "a Revision never changes");
  t.end();
});
