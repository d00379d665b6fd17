/** Every row of serving-api 4.14: who may use a domain, where it leads, and what it says. */
import path from "node:path";
import { test } from "tap";
import type { KubeObject } from "../../api/meta.ts";
import { certificates, clusterDomainClaims, kIngresses, type KIngress } from "../../api/networking.ts";
import { domainMappings, type DomainMapping } from "../../api/serving.ts";
import { matchesFile, objectsIn, reconcileRow, withChanges, type Changes, type ConfigData } from "../table.ts";
import { domainMappingReconciler } from "./reconciler.ts";
import { pluralOf } from "./reference.ts";

const key = "default/shop.example.org";
const testdata = path.join(import.meta.dirname, "testdata");
const ready = objectsIn(path.join(testdata, "ready.in.yaml"));
const mapping = "DomainMapping shop.example.org";
const claim = "ClusterDomainClaim shop.example.org";
const ingress = "Ingress shop.example.org";

const types = ["CertificateProvisioned", "DomainClaimed", "IngressReady", "Ready", "ReferenceResolved"] as const;
const noTls = "True TLSNotEnabled: external-domain-tls is not enabled";
type Said = [certificate: string, claimed: string, ingress: string, ready: string, resolved: string];
const pending = "Unknown IngressNotConfigured: Ingress has not yet been reconciled.";
const well: Said = [noTls, "True", "True", "True", "True"];
const taken = "False DomainAlreadyClaimed: The domain name is already in use by another DomainMapping";
const unresolved = (message: string): Said => {
  const text = `False ResolveFailed: ${message}`;
  return [noTls, "True", "True", text, text];
};
const address = (url: string): Changes => ({ "Service hello": { status: { address: { url } } } });
const ref = (fields: object): Changes => ({ [mapping]: { spec: { ref: fields } } });
const auto: ConfigData = { "config-network": { "autocreate-cluster-domain-claims": "true" } };
const tls: ConfigData = { "config-network": { "external-domain-tls": "Enabled" } };
const strict: ConfigData = { "config-network": { "external-domain-tls": "Enabled", "http-protocol": "Redirected" } };
const certificate = (status: string, owned = true): KubeObject =>
  ({
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Certificate",
    metadata: {
      name: "shop.example.org",
      namespace: "default",
      ownerReferences: owned
        ? [
            {
              apiVersion: "serving.knative.dev/v1beta1",
              kind: "DomainMapping",
              name: "shop.example.org",
              uid: "uid-dm",
              controller: true,
            },
          ]
        : [],
    },
    spec: { dnsNames: ["shop.example.org"], domain: "shop.example.org", secretName: "shop.example.org" },
    status: { observedGeneration: 1, conditions: [{ type: "Ready", status, reason: "Why" }] },
  }) as KubeObject;

interface Row {
  name: string;
  change?: Changes;
  more?: KubeObject[];
  config?: ConfigData;
  conditions: Said;
  writes?: string[];
  url?: string;
  events?: string[];
  error?: string;
}
const statusOnly = ["update domainmappings shop.example.org status"];
const failed = (error: string) => ({ error, events: [`Warning InternalError: ${error}`] });

const rows: Row[] = [
  { name: "a Ready mapping is left alone", conditions: well, writes: [] },
  {
    name: "a mapping without the finalizer gets it first",
    change: { [mapping]: { metadata: { finalizers: null } } },
    conditions: well,
    writes: ["patch domainmappings shop.example.org"],
    events: ['FinalizerUpdate: Updated "shop.example.org" finalizers'],
  },
  {
    name: "a new mapping makes an Ingress",
    change: { [mapping]: { status: null }, [ingress]: null },
    conditions: [noTls, "True", pending, pending, "True"],
    writes: ["create ingresses shop.example.org", ...statusOnly],
    events: ['Created: Created Ingress "shop.example.org"'],
  },
  {
    name: "a domain that nobody claimed is not for anybody",
    change: { [claim]: null },
    conditions: [noTls, taken, "True", taken, "True"],
    ...failed(
      'no ClusterDomainClaim found for domain "shop.example.org" (and autocreate-cluster-domain-claims property is not true)',
    ),
  },
  {
    name: "unless claims are made by themselves",
    change: { [claim]: null },
    config: auto,
    conditions: well,
    writes: ["create clusterdomainclaims shop.example.org"],
  },
  {
    name: "a domain of another namespace is taken",
    change: { [claim]: { spec: { namespace: "other" } } },
    config: auto,
    conditions: [noTls, taken, "True", taken, "True"],
    ...failed('namespace "default" does not own ClusterDomainClaim for "shop.example.org"'),
  },
  {
    name: "a reference to what is not there",
    change: { "Service hello": null },
    conditions: unresolved('failed to get object default/hello: services.serving.knative.dev "hello" not found'),
    ...failed('failed to get object default/hello: services.serving.knative.dev "hello" not found'),
  },
  {
    name: "a reference to what has no address yet",
    change: { "Service hello": { status: null } },
    conditions: unresolved(
      "address not set for Kind = Service, Namespace = default, Name = hello, APIVersion = serving.knative.dev/v1",
    ),
    ...failed(
      "address not set for Kind = Service, Namespace = default, Name = hello, APIVersion = serving.knative.dev/v1",
    ),
  },
  {
    name: "an address with a path",
    change: address("http://hello.default.svc.cluster.local/path"),
    conditions: unresolved('resolved URI "http://hello.default.svc.cluster.local/path" contains a path'),
    ...failed('resolved URI "http://hello.default.svc.cluster.local/path" contains a path'),
  },
  {
    name: "an address outside the cluster",
    change: address("http://hello.example.com"),
    conditions: unresolved(
      'resolved URI "http://hello.example.com" must be of the form {name}.{namespace}.svc.cluster.local',
    ),
    ...failed('resolved URI "http://hello.example.com" must be of the form {name}.{namespace}.svc.cluster.local'),
  },
  {
    name: "an address of another namespace",
    change: address("http://hello.other.svc.cluster.local"),
    conditions: unresolved(
      'resolved URI "http://hello.other.svc.cluster.local" must be in same namespace as DomainMapping',
    ),
    ...failed('resolved URI "http://hello.other.svc.cluster.local" must be in same namespace as DomainMapping'),
  },
  {
    name: "an address that ends in a slash has no path",
    change: address("http://hello.default.svc.cluster.local/"),
    conditions: well,
    writes: [],
  },
  {
    name: "a Service of Kubernetes is addressed by its name",
    change: { "Service hello": null, ...ref({ apiVersion: "v1", kind: "Service", name: "plain" }) },
    more: [
      { apiVersion: "v1", kind: "Service", metadata: { name: "plain", namespace: "default" }, spec: {} } as KubeObject,
    ],
    conditions: [noTls, "True", pending, pending, "True"],
    writes: ["update ingresses shop.example.org", ...statusOnly],
  },
  {
    name: "any addressable object will do, by the first of its addresses",
    change: { "Service hello": null, ...ref({ apiVersion: "eventing.knative.dev/v1", kind: "Broker", name: "b" }) },
    more: [
      {
        apiVersion: "eventing.knative.dev/v1",
        kind: "Broker",
        metadata: { name: "b", namespace: "default" },
        status: { addresses: [{ url: "http://hello.default.svc.cluster.local" }] },
      } as KubeObject,
    ],
    conditions: well,
    writes: [],
  },
  {
    name: "what the Ingress says is copied",
    change: {
      [ingress]: { status: { conditions: [{ type: "Ready", status: "False", reason: "Taken", message: "by b" }] } },
    },
    conditions: [noTls, "True", "False Taken: by b", "False Taken: by b", "True"],
  },
  {
    name: "an Ingress of somebody else is not touched",
    change: { [ingress]: { metadata: { ownerReferences: null } } },
    conditions: [
      noTls,
      "True",
      'False NotOwned: There is an existing Ingress "shop.example.org" that we do not own.',
      'False NotOwned: There is an existing Ingress "shop.example.org" that we do not own.',
      "True",
    ],
    ...failed('There is an existing Ingress "shop.example.org" that we do not own.'),
  },
  {
    name: "a certificate of the user's is used",
    change: { [mapping]: { spec: { tls: { secretName: "mine" } } } },
    conditions: [
      "True CertificateExternallyProvided: TLS certificate was provided externally",
      "True",
      pending,
      pending,
      "True",
    ],
    writes: ["update ingresses shop.example.org", ...statusOnly],
    url: "https://shop.example.org",
  },
  {
    name: "where TLS is on a certificate is asked for",
    config: tls,
    conditions: [
      "True HTTPDowngrade: Certificate shop.example.org is not ready downgrade HTTP.",
      "True",
      "True",
      "True",
      "True",
    ],
    writes: ["create certificates shop.example.org", ...statusOnly],
    events: ["Created: Created Certificate default/shop.example.org"],
  },
  {
    name: "a ready one is used",
    config: tls,
    more: [certificate("True")],
    conditions: ["True", "True", pending, pending, "True"],
    writes: ["update ingresses shop.example.org", ...statusOnly],
    url: "https://shop.example.org",
  },
  {
    name: "without HTTP one waits for it",
    config: strict,
    more: [certificate("Unknown")],
    conditions: [
      "Unknown CertificateNotReady: Certificate shop.example.org is not ready.",
      "True",
      pending,
      pending,
      "True",
    ],
    writes: ["update ingresses shop.example.org", ...statusOnly],
    url: "https://shop.example.org",
  },
  {
    name: "and fails with it",
    config: strict,
    more: [certificate("False")],
    conditions: [
      "False CertificateProvisionFailed: Certificate shop.example.org failed to be provisioned.",
      "True",
      pending,
      "False CertificateProvisionFailed: Certificate shop.example.org failed to be provisioned.",
      "True",
    ],
    writes: ["update ingresses shop.example.org", ...statusOnly],
    url: "https://shop.example.org",
  },
  {
    name: "a certificate of somebody else is not touched",
    config: tls,
    more: [certificate("True", false)],
    conditions: [
      "False CertificateNotOwned: There is an existing certificate shop.example.org that we don't own.",
      "True",
      "True",
      "False CertificateNotOwned: There is an existing certificate shop.example.org that we don't own.",
      "True",
    ],
    ...failed("There is an existing certificate shop.example.org that we don't own."),
  },
  {
    name: "a certificate that is no longer wanted goes",
    more: [certificate("True")],
    conditions: well,
    writes: ["delete certificates shop.example.org"],
    events: ["Deleted: Deleted orphaned Knative Certificate default/shop.example.org"],
  },
];
for (const row of rows)
  test(row.name, async (t) => {
    const { change = {}, more = [], config = {}, conditions, writes = statusOnly, events = [], url } = row;
    const objects = [...withChanges(ready, change), ...more];
    const result = await reconcileRow(t, { make: domainMappingReconciler, key, objects, config });
    t.same(
      result.conditions(domainMappings),
      conditions.map((text, at) => `${types[at]} ${text}`),
    );
    t.same(result.writes, writes);
    t.same(result.events, events);
    t.equal(result.error, row.error);
    const { status } = result.cluster.find<DomainMapping>(domainMappings, key)!;
    t.equal(status?.url, url ?? "http://shop.example.org");
    t.equal(status?.address?.url, url ?? "http://shop.example.org");
  });

const goes: { name: string; config: ConfigData; change?: Changes; claimStays: boolean }[] = [
  { name: "its claim goes with it where claims are made by themselves", config: auto, claimStays: false },
  { name: "a claim that an administrator made stays", config: {}, claimStays: true },
  {
    name: "a claim of another namespace stays",
    config: auto,
    change: { [claim]: { spec: { namespace: "other" } } },
    claimStays: true,
  },
];
for (const { name, config, change = {}, claimStays } of goes)
  test(`a mapping that goes: ${name}`, async (t) => {
    const deleted = { [mapping]: { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } } };
    const objects = withChanges(ready, { ...deleted, ...change });
    const { cluster, events } = await reconcileRow(t, { make: domainMappingReconciler, key, objects, config });
    t.equal(cluster.find(domainMappings, key), undefined);
    t.equal(cluster.find(clusterDomainClaims, "shop.example.org") !== undefined, claimStays);
    t.same(events, ['FinalizerUpdate: Updated "shop.example.org" finalizers']);
  });

test("the Ingress and the Certificate of a mapping", async (t) => {
  const objects = withChanges(ready, { [ingress]: null, [mapping]: { spec: { tls: { secretName: "mine" } } } });
  const first = await reconcileRow(t, { make: domainMappingReconciler, key, objects });
  matchesFile(t, path.join(testdata, "ingress.out.yaml"), first.cluster, [[kIngresses, key]]);
  const second = await reconcileRow(t, { make: domainMappingReconciler, key, objects: ready, config: tls });
  matchesFile(t, path.join(testdata, "certificate.out.yaml"), second.cluster, [[certificates, key]]);
});

test("a domain of more than 63 characters has shorter names", async (t) => {
  const long = `${"a".repeat(60)}.example.org`;
  const objects = withChanges(ready, {
    [mapping]: { metadata: { name: long } },
    [claim]: { metadata: { name: long } },
    [ingress]: null,
  });
  const { writes } = await reconcileRow(t, { make: domainMappingReconciler, key: `default/${long}`, objects });
  const created =
    writes
      .find((write) => write.startsWith("create ingresses"))
      ?.split(" ")
      .at(-1) ?? "";
  t.equal(created.length, 63);
});

test("plurals are guessed", (t) => {
  t.same(["Broker", "Gateway", "Policy", "Bus"].map(pluralOf), ["brokers", "gateways", "policies", "buses"]);
  t.end();
});

test("HTTP is redirected where that is configured", async (t) => {
  const config = { "config-network": { "http-protocol": "Redirected" } };
  const { cluster } = await reconcileRow(t, { make: domainMappingReconciler, key, objects: ready, config });
  t.equal(cluster.find<KIngress>(kIngresses, key)?.spec.httpOption, "Redirected");
});
