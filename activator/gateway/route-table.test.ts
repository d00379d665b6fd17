import { test } from "tap";
import { annotation } from "../../api/keys.ts";
import { swellIngressClass, type IngressPath, type IngressRule, type KIngress } from "../../api/networking.ts";
import { HeaderList } from "../../proxy/headers.ts";
import { hostName } from "../../api/ingress-claims.ts";
import { pickSplit, routeTable, type Door } from "./route-table.ts";

const toRevision = (name: string, extra: Partial<IngressPath> = {}): IngressPath => ({
  splits: [
    {
      serviceNamespace: "ns",
      serviceName: name,
      servicePort: 80,
      percent: 100,
      appendHeaders: { "Knative-Serving-Revision": name, "Knative-Serving-Namespace": "ns" },
    },
  ],
  ...extra,
});

function ingress(name: string, rules: IngressRule[], extra: { created?: string; class?: string } = {}): KIngress {
  return {
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Ingress",
    metadata: {
      name,
      namespace: "ns",
      creationTimestamp: extra.created ?? "2026-01-01T00:00:00Z",
      annotations: { [annotation.ingressClass]: extra.class ?? swellIngressClass },
    },
    spec: { rules },
  };
}

const rule = (hosts: string[], paths: IngressPath[], visibility?: IngressRule["visibility"]): IngressRule => ({
  hosts,
  ...(visibility === undefined ? {} : { visibility }),
  http: { paths },
});

const table = routeTable([
  ingress("hello", [
    rule(["hello.ns", "hello.ns.svc", "hello.ns.svc.cluster.local"], [toRevision("hello-1")], "ClusterLocal"),
    rule(["hello.ns.example.com"], [toRevision("hello-1")], "ExternalIP"),
  ]),
  ingress("paths", [
    rule(
      ["paths.example.com"],
      [
        toRevision("any"),
        toRevision("foo", { path: "/foo" }),
        toRevision("foobar", { path: "/foo/bar" }),
        toRevision("tagged", { headers: { "Knative-Serving-Tag": { exact: "blue" } } }),
      ],
    ),
  ]),
  ingress("thief", [rule(["hello.ns.example.com"], [toRevision("thief")])], { created: "2026-02-01T00:00:00Z" }),
  ingress("foreign", [rule(["foreign.example.com"], [toRevision("foreign")])], { class: "istio" }),
]);

const cases: {
  name: string;
  door: Door;
  host: string;
  target?: string;
  headers?: Record<string, string>;
  want: string;
}[] = [
  { name: "a public host at the public door", door: "public", host: "hello.ns.example.com", want: "hello-1" },
  { name: "a public host at the internal door", door: "internal", host: "hello.ns.example.com", want: "hello-1" },
  { name: "a host with a port and in capitals", door: "public", host: "Hello.NS.example.com:8080", want: "hello-1" },
  { name: "a cluster-local host at the internal door", door: "internal", host: "hello.ns", want: "hello-1" },
  { name: "a cluster-local host at the public door: nowhere", door: "public", host: "hello.ns", want: "none" },
  { name: "an unknown host: nowhere", door: "internal", host: "hello.other", want: "none" },
  { name: "a host of another ingress class: nowhere", door: "public", host: "foreign.example.com", want: "none" },
  { name: "the catch-all path", door: "public", host: "paths.example.com", target: "/x?y=/foo", want: "any" },
  { name: "a literal prefix", door: "public", host: "paths.example.com", target: "/food?a=b", want: "foo" },
  {
    name: "the longest of two prefixes",
    door: "public",
    host: "paths.example.com",
    target: "/foo/bar/x",
    want: "foobar",
  },
  {
    name: "a header match before the same path without",
    door: "public",
    host: "paths.example.com",
    headers: { "knative-serving-tag": "blue" },
    want: "tagged",
  },
  {
    name: "another value of the header: the ordinary path",
    door: "public",
    host: "paths.example.com",
    headers: { "knative-serving-tag": "green" },
    want: "any",
  },
];
for (const { name, door, host, target = "/", headers = {}, want } of cases)
  test(`${name} leads to ${want}`, (t) => {
    const found = table.find(door, host, target, HeaderList.of(headers));
    const to = found?.splits[0]?.target;
    t.equal(to?.is === "revision" ? to.name : "none", want);
    t.end();
  });

test("each split gets its percentage, and one of 0 percent nothing", (t) => {
  const split = (name: string, percent: number) => ({ ...toRevision(name).splits[0]!, percent });
  const [percent] = [[split("a", 1), split("b", 0), split("c", 37), split("d", 62)]];
  const route = routeTable([ingress("i", [rule(["h"], [{ splits: percent }])])]).find(
    "public",
    "h",
    "/",
    HeaderList.of({}),
  )!;
  const counts: Record<string, number> = {};
  for (let draw = 0; draw < 1000; draw += 1) {
    const target = pickSplit(route, draw / 1000)!.target;
    if (target.is === "revision") counts[target.name] = (counts[target.name] ?? 0) + 1;
  }
  t.strictSame(counts, { a: 10, c: 370, d: 620 });
  t.end();
});

test("headers of the split win over those of the path", (t) => {
  const [only] = toRevision("r").splits;
  const path = {
    splits: [{ ...only!, appendHeaders: { A: "split", B: "split" } }],
    appendHeaders: { A: "path", C: "path" },
  };
  const route = routeTable([ingress("i", [rule(["h"], [path])])]).find("public", "h", "/", HeaderList.of({}))!;
  t.strictSame(Object.fromEntries(route.splits[0]!.headers), { A: "split", C: "path", B: "split" });
  t.strictSame(route.splits[0]!.target, { is: "service", namespace: "ns", name: "r", port: 80 });
  t.end();
});

test("a rule without hosts takes what nobody else has", (t) => {
  const any = routeTable([ingress("any", [{ http: { paths: [toRevision("any")] } }])]);
  t.ok(any.find("public", "whatever.example.com", "/", HeaderList.of({})));
  t.end();
});

const hosts: [string, string][] = [
  ["A.example.com", "a.example.com"],
  ["a.example.com.:80", "a.example.com"],
  ["[fd00::1]:8080", "[fd00::1]"],
  ["", ""],
];
for (const [given, want] of hosts)
  test(`the host name in ${JSON.stringify(given)}`, (t) => {
    t.equal(hostName(given), want);
    t.end();
  });
