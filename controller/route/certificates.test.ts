/** The certificates of a Route's hosts, and what the Route says of them (spec: serving-api 4.7, 4.9). */
import path from "node:path";
import { test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { certificates, kIngresses, type Certificate, type KIngress } from "../../api/networking.ts";
import { routes, type Route } from "../../api/serving.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes, type ConfigData } from "../table.ts";
import { routeReconciler } from "./reconciler.ts";

const testdata = path.join(import.meta.dirname, "testdata");
const ready = objectsIn(path.join(testdata, "ready.in.yaml"));
const annotated = (annotations: Record<string, string>): Changes => ({ "Route hello": { metadata: { annotations } } });
const split = {
  spec: {
    traffic: [
      { configurationName: "hello", latestRevision: true, percent: 90 },
      { revisionName: "hello-00001", latestRevision: false, percent: 10, tag: "old" },
    ],
  },
};

const external = { "config-network": { "external-domain-tls": "Enabled" } };
const strict = { "config-network": { "external-domain-tls": "Enabled", "http-protocol": "Redirected" } };
const both = { "config-network": { "external-domain-tls": "Enabled", "cluster-local-domain-tls": "Enabled" } };
const certificate = (name: string, status: object, more: object = {}, spec: object = {}): KubeObject =>
  ({
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Certificate",
    metadata: {
      name,
      namespace: "default",
      labels: { "serving.knative.dev/route": "hello" },
      ownerReferences: [
        { apiVersion: "serving.knative.dev/v1", kind: "Route", name: "hello", uid: "uid-r", controller: true },
      ],
      ...more,
    },
    spec: { dnsNames: ["hello.default.example.com"], domain: "example.com", secretName: name, ...spec },
    status: { observedGeneration: 1, ...status },
  }) as KubeObject;
const is = (status: string, reason = "") => ({ conditions: [{ type: "Ready", status, reason }] });
const localNames = ["hello.default", "hello.default.svc", "hello.default.svc.cluster.local"];

interface TlsRow {
  name: string;
  config: ConfigData;
  given?: KubeObject[];
  change?: Changes;
  provisioned: string;
  url: string;
  address?: string;
  tls?: { hosts: string[]; secretName: string; secretNamespace: string }[];
  certificates: string[];
  error?: string;
}
const tlsOf = (secretName: string, hosts = ["hello.default.example.com"]) => ({
  hosts,
  secretName,
  secretNamespace: "default",
});
const tlsRows: TlsRow[] = [
  {
    name: "a host gets a certificate, and HTTP meanwhile",
    config: external,
    provisioned: "True HTTPDowngrade: Certificate route-uid-r is not ready downgrade HTTP.",
    url: "http://hello.default.example.com",
    certificates: ["create certificates route-uid-r"],
  },
  {
    name: "a ready certificate is used",
    config: external,
    given: [certificate("route-uid-r", is("True"))],
    provisioned: "True",
    url: "https://hello.default.example.com",
    tls: [tlsOf("route-uid-r")],
    certificates: [],
  },
  {
    name: "without HTTP there is no downgrade",
    config: strict,
    given: [certificate("route-uid-r", is("Unknown", "Pending"))],
    provisioned: "Unknown CertificateNotReady: Certificate route-uid-r is not ready: Pending",
    url: "https://hello.default.example.com",
    certificates: [],
  },
  {
    name: "a certificate that nobody will sign fails the Route",
    config: strict,
    given: [certificate("route-uid-r", is("False", "Denied"))],
    provisioned: "False CertificateProvisionFailed: Certificate route-uid-r fails to be provisioned: Denied",
    url: "https://hello.default.example.com",
    certificates: [],
  },
  {
    name: "what was said of an older spec is no verdict",
    config: strict,
    given: [certificate("route-uid-r", is("False", "Denied"), { generation: 2 })],
    provisioned: "Unknown CertificateNotReady: Certificate route-uid-r is not ready: Denied",
    url: "https://hello.default.example.com",
    certificates: [],
  },
  {
    name: "a certificate of somebody else is not touched",
    config: external,
    given: [certificate("route-uid-r", is("True"), { ownerReferences: [] })],
    provisioned: "False CertificateNotOwned: There is an existing certificate route-uid-r that we don't own.",
    url: "http://hello.default.example.com",
    certificates: [],
    error: "There is an existing certificate route-uid-r that we don't own.",
  },
  {
    name: "an annotation turns it off",
    config: external,
    change: annotated({ "networking.knative.dev/disable-auto-tls": "true" }),
    provisioned: "True TLSNotEnabled: external-domain-tls is not enabled",
    url: "http://hello.default.example.com",
    certificates: [],
  },
  {
    name: "a private Route needs none",
    config: external,
    change: { "Route hello": { metadata: { labels: { "networking.knative.dev/visibility": "cluster-local" } } } },
    provisioned: "True TLSNotEnabled: TLS is not enabled for cluster-local",
    url: "http://hello.default.svc.cluster.local",
    certificates: [],
  },
  {
    name: "a wildcard of the namespace is taken before a certificate is asked for",
    config: external,
    given: [
      certificate(
        "default.example.com",
        is("True"),
        { labels: { "networking.knative.dev/wildcardDomain": "example.com" }, ownerReferences: [] },
        { dnsNames: ["*.default.example.com"] },
      ),
    ],
    provisioned: "True",
    url: "https://hello.default.example.com",
    tls: [tlsOf("default.example.com")],
    certificates: [],
  },
  {
    name: "what is no longer needed goes",
    config: {},
    given: [certificate("route-uid-r", is("True"))],
    provisioned: "True TLSNotEnabled: external-domain-tls is not enabled",
    url: "http://hello.default.example.com",
    certificates: ["delete certificates route-uid-r"],
  },
  {
    name: "hosts inside the cluster have certificates of their own",
    config: both,
    given: [
      certificate("route-uid-r", is("True")),
      certificate("route-uid-r-local", is("True"), {}, { dnsNames: localNames, domain: "svc.cluster.local" }),
    ],
    provisioned: "True",
    url: "https://hello.default.example.com",
    address: "https://hello.default.svc.cluster.local",
    tls: [tlsOf("route-uid-r"), tlsOf("route-uid-r-local", localNames)],
    certificates: [],
  },
  {
    name: "the worst of several certificates is told of",
    config: both,
    given: [
      certificate("route-uid-r", is("True")),
      certificate(
        "route-uid-r-local",
        is("Unknown", "Pending"),
        {},
        { dnsNames: localNames, domain: "svc.cluster.local" },
      ),
    ],
    provisioned: "Unknown CertificateNotReady: Certificate route-uid-r-local is not ready: Pending",
    url: "https://hello.default.example.com",
    tls: [tlsOf("route-uid-r")],
    certificates: [],
  },
  {
    name: "a tag's certificate is named for the tag",
    config: external,
    given: [certificate("route-uid-r", is("True"))],
    change: { "Route hello": split },
    provisioned: "True HTTPDowngrade: Certificate route-uid-r-42729792 is not ready downgrade HTTP.",
    url: "https://hello.default.example.com",
    tls: [tlsOf("route-uid-r")],
    certificates: ["create certificates route-uid-r-42729792"],
  },
];
for (const row of tlsRows)
  test(`TLS: ${row.name}`, async (t) => {
    const { config, given = [], change = {} } = row;
    const objects = [...withChanges(ready, change), ...given];
    const result = await reconcileRow(t, { make: routeReconciler, objects, config });
    t.equal(
      result.conditions(routes).find((line) => line.startsWith("CertificateProvisioned")),
      `CertificateProvisioned ${row.provisioned}`,
    );
    const { status } = result.cluster.find<Route>(routes, "default/hello")!;
    t.equal(status?.url, row.url);
    t.equal(status?.address?.url, row.address ?? "http://hello.default.svc.cluster.local");
    t.same(result.cluster.find<KIngress>(kIngresses, "default/hello")?.spec.tls, row.tls);
    t.same(
      result.writes.filter((write) => write.includes("certificates")),
      row.certificates,
    );
    t.equal(result.error, row.error);
  });

test("a Certificate as it is asked for, and the proof that its issuer wants", async (t) => {
  const asked = await reconcileRow(t, { make: routeReconciler, objects: ready, config: external });
  matchesFile(t, path.join(testdata, "certificate.out.yaml"), asked.cluster, [[certificates, "default/route-uid-r"]]);
  t.ok(asked.events.includes("Created: Created Certificate default/route-uid-r"));

  const http01Challenges = [
    {
      url: "http://hello.default.example.com/.well-known/acme-challenge/abc",
      serviceName: "solver",
      serviceNamespace: "default",
      servicePort: 8089,
    },
  ];
  const pending = certificate("route-uid-r", { ...is("Unknown"), http01Challenges });
  const { cluster } = await reconcileRow(t, { make: routeReconciler, objects: [...ready, pending], config: external });
  const [local, outside] = cluster.find<KIngress>(kIngresses, "default/hello")!.spec.rules!;
  t.equal(local?.http.paths.length, 1);
  t.match(outside?.http.paths[0], {
    path: "/.well-known/acme-challenge/abc",
    splits: [{ serviceName: "solver", servicePort: 8089, percent: 100 }],
  });
  t.equal(outside?.http.paths.length, 2);
  t.equal(cluster.find<Certificate>(certificates, "default/route-uid-r")?.spec.secretName, "route-uid-r");
});
