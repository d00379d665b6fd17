/** visibility*, ingressclass and host-rewrite of Knative's ingress conformance list (data-plane 3.6), and hosts claimed twice. */
import { test } from "tap";
import { annotation } from "../../api/keys.ts";
import type { KubeObject } from "../../api/meta.ts";
import { fakePod, ingress, paths, ready, revision, setUp, split, toService, type Answer } from "../fixture.ts";
import { backends, byPath, checkShares, headersOf, pathRule, percentages, servedBy } from "./dispatch-fixture.ts";

const local = ["l.ns.svc.cluster.local", "l.ns.svc", "l.ns"];

test("visibility: cluster-local hosts answer inside and are unknown outside, public ones answer at both", async (t) => {
  const rule = { hosts: local, visibility: "ClusterLocal", http: { paths: [{ splits: [toService("a")] }] } };
  const { gateway, internal, send } = await setUp(t, [
    ...(await backends(t, "a")),
    [paths.ingresses, ingress("local", [], {}, { rules: [rule] })],
    [paths.ingresses, ingress("public", ["p.example.com"], { splits: [toService("a")] })],
  ]);
  for (const host of local) {
    t.match(await send(gateway, { host }), { status: 404, headers: { "swell-error": "no-route" } });
    t.equal(servedBy(await send(internal, { host })), "a", host);
  }
  t.equal(servedBy(await send(internal, { host: "p.example.com" })), "a");
});

test("visibility/split: percentages at the internal door", async (t) => {
  const splits = Object.entries(percentages).map(([name, percent]) => toService(name, percent));
  const rule = { hosts: local, visibility: "ClusterLocal", http: { paths: [{ splits }] } };
  const { gateway, internal, send } = await setUp(t, [
    ...(await backends(t, ...Object.keys(percentages))),
    [paths.ingresses, ingress("local", [], {}, { rules: [rule] })],
  ]);
  const answers: Answer[] = [];
  for (let round = 0; round < 10; round += 1)
    answers.push(...(await Promise.all(Array.from({ length: 50 }, () => send(internal, { host: local[0]! })))));
  checkShares(t, answers, percentages, 10);
  t.equal((await send(gateway, { host: local[0]! })).status, 404);
});

test("visibility/path: paths at the internal door, none outside", async (t) => {
  const { gateway, internal, send } = await setUp(t, [
    ...(await backends(t, "foo", "bar", "baz", "rest")),
    [paths.ingresses, ingress("local", [], {}, pathRule(local, { visibility: "ClusterLocal" }))],
  ]);
  for (const [path, want] of byPath) {
    t.equal(servedBy(await send(internal, { host: local[1]! }, path)), want, path);
    t.equal((await send(gateway, { host: local[1]! }, path)).status, 404, `outside ${path}`);
  }
});

const classes: [string, Record<string, string> | undefined][] = [
  ["no annotations", undefined],
  ["no class", { other: "x" }],
  ["another class", { [annotation.ingressClass]: "istio.ingress.networking.knative.dev" }],
  ["an empty class", { [annotation.ingressClass]: "" }],
];
test("ingressclass: what is not ours is not served", async (t) => {
  const objects = classes.map(([, annotations], at): [string, KubeObject] => {
    const object = ingress(`class-${at}`, [`class-${at}.example.com`], { splits: [toService("a")] });
    const metadata = { ...object.metadata };
    delete metadata.annotations;
    return [
      paths.ingresses,
      { ...object, metadata: annotations === undefined ? metadata : { ...metadata, annotations } },
    ];
  });
  const { gateway, send } = await setUp(t, [...(await backends(t, "a")), ...objects]);
  for (const [at, [name]] of classes.entries())
    t.equal((await send(gateway, { host: `class-${at}.example.com` })).status, 404, name);
});

const external = (name: string, externalName: string): [string, KubeObject] => [
  paths.services,
  {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "ns" },
    spec: { type: "ExternalName", externalName, ports: [{ name: "http2", port: 80 }] },
  } as KubeObject,
];

test("host-rewrite: vanity hosts lead to a cluster-local one behind an ExternalName of this gateway", async (t) => {
  const pod = await fakePod(t, "app");
  const vanity = (name: string) =>
    ingress(`vanity-${name}`, [`${name}.org`], {
      rewriteHost: "app.ns.svc.cluster.local",
      splits: [toService("placeholder", 100, { "K-Original-Host": `${name}.org` })],
    });
  const rule = { hosts: ["app.ns.svc.cluster.local"], visibility: "ClusterLocal" };
  const { gateway, send } = await setUp(t, [
    [paths.revisions, revision("app")],
    [paths.endpoints, ready("app", pod.port)],
    external("placeholder", "gateway-internal.knative-serving.svc.cluster.local"),
    [
      paths.ingresses,
      ingress("app", [], {}, { rules: [{ ...rule, http: { paths: [{ splits: [split("app", 100)] }] } }] }),
    ],
    [paths.ingresses, vanity("one")],
    [paths.ingresses, vanity("two")],
  ]);
  for (const name of ["one", "two"]) {
    const answer = await send(gateway, { host: `${name}.org` });
    t.equal(servedBy(answer), "app");
    t.match(headersOf(answer), { host: "app.ns.svc.cluster.local", "k-original-host": `${name}.org` });
  }
});

test("host-rewrite: routes that lead in a circle are told so", async (t) => {
  const circle = ingress("circle", ["circle.org"], { splits: [toService("self")] });
  const { gateway, send } = await setUp(t, [
    external("self", "gateway.knative-serving.svc.cluster.local"),
    [paths.ingresses, circle],
  ]);
  t.match(await send(gateway, { host: "circle.org" }), { status: 508, headers: { "swell-error": "route-loop" } });
});

test("host-rewrite: any other external name is resolved and dialled", async (t) => {
  const pod = await fakePod(t, "outside");
  const [path, service] = external("outside", "127.0.0.1");
  const spec = { ...(service as unknown as { spec: object }).spec, ports: [{ name: "http", port: pod.port }] };
  const { gateway, send } = await setUp(t, [
    [path, { ...service, spec } as KubeObject],
    [
      paths.ingresses,
      ingress("outside", ["outside.org"], {
        rewriteHost: "elsewhere.org",
        splits: [{ ...toService("outside"), servicePort: "http" }],
      }),
    ],
  ]);
  const answer = await send(gateway, { host: "outside.org" });
  t.equal(servedBy(answer), "outside");
  t.match(headersOf(answer), { host: "elsewhere.org" });
});

test("a host that two ingresses claim stays with the first, and the other is not served in part", async (t) => {
  const second = ingress("second", ["shared.example.com", "own.example.com"], { splits: [toService("b")] });
  const at = (object: KubeObject, creationTimestamp: string): [string, KubeObject] => [
    paths.ingresses,
    { ...object, metadata: { ...object.metadata, creationTimestamp } },
  ];
  const { api, gateway, send } = await setUp(t, [
    ...(await backends(t, "a", "b")),
    at(second, "2026-01-02T00:00:00Z"),
    at(ingress("zz-first", ["shared.example.com"], { splits: [toService("a")] }), "2026-01-01T00:00:00Z"),
  ]);
  const ask = async (host: string) => servedBy(await send(gateway, { host }));
  t.equal(await ask("shared.example.com"), "a");
  t.equal(await ask("own.example.com"), "404");
  api.remove(paths.ingresses, "ns/zz-first");
  while ((await ask("shared.example.com")) !== "b") await new Promise((resolve) => setImmediate(resolve));
  t.equal(await ask("own.example.com"), "b", "once the first is gone");
});
