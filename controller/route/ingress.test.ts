/** The Ingress of a Route, whole objects and single fields (spec: serving-api 4.8, 4.9). */
import path from "node:path";
import { test } from "tap";
import { kIngresses, type KIngress } from "../../api/networking.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes, type ConfigData } from "../table.ts";
import { routeReconciler } from "./reconciler.ts";

const testdata = path.join(import.meta.dirname, "testdata");
const ready = objectsIn(path.join(testdata, "ready.in.yaml"));
const latest = { configurationName: "hello", latestRevision: true };
const first = { revisionName: "hello-00001", latestRevision: false };
const split = {
  spec: {
    traffic: [
      { ...latest, percent: 90 },
      { ...first, percent: 10, tag: "old" },
    ],
  },
};
const newIngress: Changes = { "Ingress hello": null };

const whole: { name: string; file: string; change: Changes; config?: ConfigData }[] = [
  { name: "traffic split over two Revisions, one with a tag", file: "split", change: { "Route hello": split } },
  {
    name: "with tag header routing a header does what a tag's host does",
    file: "tag-header",
    change: { "Route hello": split },
    config: { "config-features": { "tag-header-based-routing": "enabled" } },
  },
];
for (const { name, file, change, config = {} } of whole)
  test(name, async (t) => {
    const objects = withChanges(ready, { ...newIngress, ...change });
    const { cluster } = await reconcileRow(t, { make: routeReconciler, objects, config });
    matchesFile(t, path.join(testdata, `${file}.out.yaml`), cluster, [[kIngresses, "default/hello"]]);
  });

const annotated = (annotations: Record<string, string>): Changes => ({ "Route hello": { metadata: { annotations } } });
const single: {
  name: string;
  change?: Changes;
  config?: ConfigData;
  see: (ingress: KIngress) => unknown;
  want: unknown;
}[] = [
  {
    name: "a private Route has no rule for the outside",
    change: { "Route hello": { metadata: { labels: { "networking.knative.dev/visibility": "cluster-local" } } } },
    see: ({ spec }) => spec.rules?.map(({ visibility }) => visibility),
    want: ["ClusterLocal"],
  },
  {
    name: "another value of the label makes no Route private",
    change: { "Route hello": { metadata: { labels: { "networking.knative.dev/visibility": "public" } } } },
    see: ({ spec }) => spec.rules?.map(({ visibility }) => visibility),
    want: ["ClusterLocal", "ExternalIP"],
  },
  {
    name: "any value of the label makes a placeholder's host private",
    change: { "Service hello": { metadata: { labels: { "networking.knative.dev/visibility": "whatever" } } } },
    see: ({ spec }) => spec.rules?.map(({ visibility }) => visibility),
    want: ["ClusterLocal"],
  },
  {
    name: "without a domain of its own the cluster is all there is",
    config: { "config-domain": { "example.com": null } },
    see: ({ spec }) => spec.rules?.map(({ visibility }) => visibility),
    want: ["ClusterLocal"],
  },
  {
    name: "of two domains the one that asks for more labels counts",
    change: { "Route hello": { metadata: { labels: { a: "1", b: "2" } } } },
    config: {
      "config-domain": { "one.com": "selector: { a: '1' }", "two.com": "selector: { a: '1', b: '2' }" },
    },
    see: ({ spec }) => spec.rules?.at(-1)?.hosts,
    want: ["hello.default.two.com"],
  },
  {
    name: "between equals the name decides",
    change: { "Route hello": { metadata: { labels: { a: "1" } } } },
    config: { "config-domain": { "z.com": "selector: { a: '1' }", "b.com": "selector: { a: '1' }" } },
    see: ({ spec }) => spec.rules?.at(-1)?.hosts,
    want: ["hello.default.b.com"],
  },
  {
    name: "templates make names, inside the cluster only the tag's",
    change: { "Route hello": { metadata: { annotations: { sub: "shop" } }, ...split } },
    config: {
      "config-network": {
        "domain-template": '{{index .Annotations "sub"}}.{{.Name}}.{{.Domain}}',
        "tag-template": "{{.Name}}-{{.Tag}}",
      },
    },
    see: ({ spec }) => spec.rules?.map(({ hosts }) => hosts?.at(-1)),
    want: [
      "hello.default.svc.cluster.local",
      "shop.hello.example.com",
      "hello-old.default.svc.cluster.local",
      "shop.hello-old.example.com",
    ],
  },
  {
    name: "HTTP may be redirected by an annotation, in any case",
    change: annotated({ "networking.knative.dev/httpOption": "ReDirected" }),
    see: ({ spec }) => spec.httpOption,
    want: "Redirected",
  },
  {
    name: "of two spellings the first one counts",
    change: annotated({
      "networking.knative.dev/http-protocol": "enabled",
      "networking.knative.dev/httpOption": "redirected",
    }),
    see: ({ spec }) => spec.httpOption,
    want: "Redirected",
  },
  {
    name: "HTTP may be redirected for all",
    config: { "config-network": { "http-protocol": "Redirected" } },
    see: ({ spec }) => spec.httpOption,
    want: "Redirected",
  },
  {
    name: "the deprecated Disabled says nothing",
    config: { "config-network": { "http-protocol": "Disabled" } },
    see: ({ spec }) => spec.httpOption,
    want: undefined,
  },
  {
    name: "the class is the annotation's",
    change: annotated({ "networking.knative.dev/ingress-class": "other.class" }),
    see: ({ metadata }) => [
      metadata.annotations?.["networking.knative.dev/ingress.class"],
      metadata.annotations?.["networking.knative.dev/ingress-class"],
    ],
    want: ["other.class", undefined],
  },
  {
    name: "what kubectl applied is the Route's alone",
    change: annotated({ "kubectl.kubernetes.io/last-applied-configuration": "{}" }),
    see: ({ metadata }) => metadata.annotations?.["kubectl.kubernetes.io/last-applied-configuration"],
    want: undefined,
  },
  {
    name: "HTTP/2 has a port of its own",
    change: { "Route hello": { spec: { traffic: [{ ...first, percent: 100 }] } } },
    see: ({ spec }) => spec.rules?.[0]?.http.paths[0]?.splits.map(({ servicePort }) => servicePort),
    want: [81],
  },
  {
    name: "with TLS inside the system all goes to 443",
    config: { "config-network": { "system-internal-tls": "Enabled" } },
    see: ({ spec }) => spec.rules?.[0]?.http.paths[0]?.splits.map(({ servicePort }) => servicePort),
    want: [443],
  },
  {
    name: "entries of one Revision are one split",
    change: {
      "Route hello": {
        spec: {
          traffic: [
            { ...latest, percent: 40 },
            { ...first, percent: 30 },
            { ...latest, percent: 30 },
          ],
        },
      },
    },
    see: ({ spec }) =>
      spec.rules?.[0]?.http.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName}=${percent}`),
    want: ["hello-00002=70", "hello-00001=30"],
  },
  {
    name: "no percent is no split, but a tag of it has all of its own host",
    change: {
      "Route hello": {
        spec: {
          traffic: [
            { ...latest, percent: 100 },
            { ...first, percent: 0, tag: "t" },
          ],
        },
      },
    },
    see: ({ spec }) =>
      spec.rules?.map(({ http }) =>
        http.paths[0]?.splits.map(({ serviceName, percent }) => `${serviceName}=${percent}`),
      ),
    want: [["hello-00002=100"], ["hello-00002=100"], ["hello-00001=100"], ["hello-00001=100"]],
  },
  {
    name: "with tag header routing the default route says so even without tags",
    config: { "config-features": { "tag-header-based-routing": "Enabled" } },
    see: ({ spec }) => spec.rules?.[0]?.http.paths.map(({ appendHeaders }) => appendHeaders),
    want: [{ "Knative-Serving-Default-Route": "true" }],
  },
  {
    name: "the rollout is written down",
    see: ({ metadata }) => metadata.annotations?.["networking.internal.knative.dev/rollout"],
    want: '{"configurations":[{"configurationName":"hello","percent":100,"revisions":[{"revisionName":"hello-00002","percent":100}],"stepParams":{}}]}',
  },
];
for (const { name, change = {}, config = {}, see, want } of single)
  test(name, async (t) => {
    const objects = withChanges(withChanges(ready, newIngress), change);
    const { cluster } = await reconcileRow(t, { make: routeReconciler, objects, config });
    t.same(see(cluster.find<KIngress>(kIngresses, "default/hello")!), want);
  });
