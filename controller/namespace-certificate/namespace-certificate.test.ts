/** Every row of serving-api 4.15: which namespaces get wildcard certificates, and for which domains. */
import { test } from "tap";
import { namespaces } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { failure } from "../memory-cluster.ts";
import { reconcileRow, type ConfigData } from "../table.ts";
import { namespaceCertificateReconciler } from "./reconciler.ts";

const namespace = (labels: Record<string, string> = {}, more: object = {}): KubeObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: "shop", uid: "uid-ns", labels, ...more },
});
const owner = { apiVersion: "v1", kind: "Namespace", name: "shop", uid: "uid-ns", controller: true };
const wildcard = (name: string, domain: string, dnsName: string, owned = true): KubeObject =>
  ({
    apiVersion: "networking.internal.knative.dev/v1alpha1",
    kind: "Certificate",
    metadata: {
      name,
      namespace: "shop",
      labels: { "networking.knative.dev/wildcardDomain": domain },
      ownerReferences: owned ? [owner] : [],
    },
    spec: { dnsNames: [dnsName], secretName: name },
  }) as KubeObject;
const present = wildcard("shop.example.com", "example.com", "*.shop.example.com");
const on = (selector: string, more: ConfigData = {}): ConfigData => ({
  ...more,
  "config-network": { ...more["config-network"], "namespace-wildcard-cert-selector": selector },
});
const all = on("{}");

interface Row {
  name: string;
  config?: ConfigData;
  objects: KubeObject[];
  writes: string[];
  events?: string[];
  error?: string;
  refuse?: (write: string) => ReturnType<typeof failure> | undefined;
  unsettled?: string;
}
const created = {
  writes: ["create certificates shop.example.com"],
  events: ["Created: Created Knative Certificate shop/shop.example.com"],
};
const deleted = {
  writes: ["delete certificates shop.example.com"],
  events: ["Deleted: Deleted Knative Certificate shop/shop.example.com"],
};

const rows: Row[] = [
  { name: "without a selector there is none", objects: [namespace()], writes: [] },
  { name: "a selector of all selects every namespace", config: all, objects: [namespace()], ...created },
  {
    name: "a namespace that is selected gets one",
    config: on("matchLabels: { team: web }"),
    objects: [namespace({ team: "web" })],
    ...created,
  },
  {
    name: "one that is not selected gets none",
    config: on("matchExpressions: [{ key: team, operator: NotIn, values: [web] }]"),
    objects: [namespace({ team: "web" })],
    writes: [],
  },
  { name: "what is there is left alone", config: all, objects: [namespace(), present], writes: [] },
  {
    name: "one of somebody else will do",
    config: all,
    objects: [namespace(), wildcard("mine", "example.com", "*.shop.example.com", false)],
    writes: [],
  },
  { name: "it goes when the namespace is no longer selected", objects: [namespace(), present], ...deleted },
  {
    name: "one of somebody else stays",
    objects: [namespace(), wildcard("mine", "example.com", "*.shop.example.com", false)],
    writes: [],
  },
  {
    name: "it goes with its domain, and the new domain gets one",
    config: on("{}", { "config-domain": { "example.com": null, "example.org": "" } }),
    objects: [namespace(), present],
    writes: ["create certificates shop.example.org", ...deleted.writes],
    events: ["Created: Created Knative Certificate shop/shop.example.org", ...deleted.events],
  },
  {
    name: "a domain with a selector gets one only where it says so",
    config: on("{}", {
      "config-domain": {
        "internal.net": "selector: { app: a }",
        "wild.net": "{ selector: { app: b }, type: wildcard }",
      },
    }),
    objects: [namespace()],
    writes: [...created.writes, "create certificates shop.wild.net"],
    events: [...created.events, "Created: Created Knative Certificate shop/shop.wild.net"],
  },
  {
    name: "the certificate follows the template of names",
    config: on("{}", { "config-network": { "domain-template": "{{.Name}}.on-{{.Namespace}}.{{.Domain}}" } }),
    objects: [namespace(), present],
    writes: ["update certificates shop.example.com"],
    events: ["Updated: Updated Spec for Knative Certificate shop/shop.example.com"],
  },
  {
    name: "a template that puts the namespace first has no wildcard",
    config: on("{}", { "config-network": { "domain-template": "{{.Namespace}}-{{.Name}}.{{.Domain}}" } }),
    objects: [namespace()],
    writes: [],
    error: "invalid DomainTemplate: shop-*.example.com",
  },
  {
    name: "a name that somebody else has for something else is not touched",
    config: all,
    objects: [namespace(), { ...present, metadata: { name: "shop.example.com", namespace: "shop" } }],
    writes: [],
    error: "namespace shop does not own Knative Certificate: shop.example.com",
  },
  {
    name: "a refusal is told of",
    config: all,
    objects: [namespace()],
    writes: [],
    refuse: () => failure(403, "Forbidden", "no"),
    events: ["Warning CreationFailed: Failed to create Knative certificate shop/shop.example.com: no"],
    error: "no",
    unsettled: "it is told of each time",
  },
  {
    name: "a namespace on its way out is left alone",
    config: all,
    objects: [namespace({}, { deletionTimestamp: "2026-01-01T00:00:00Z" })],
    writes: [],
  },
];

for (const { name, config = {}, objects, writes, events = [], error, refuse, unsettled } of rows)
  test(`wildcard certificates: ${name}`, async (t) => {
    const row = await reconcileRow(t, {
      make: namespaceCertificateReconciler,
      key: "shop",
      objects,
      config,
      ...(refuse === undefined ? {} : { refuse }),
      ...(unsettled === undefined ? {} : { unsettled }),
    });
    t.same({ writes: row.writes, events: row.events, error: row.error }, { writes, events, error });
  });

test("wildcard certificates: what one looks like", async (t) => {
  const annotations = { "networking.knative.dev/certificate-class": "mine" };
  const row = await reconcileRow(t, {
    make: namespaceCertificateReconciler,
    key: "shop",
    objects: [namespace({}, { annotations })],
    config: all,
  });
  const made = row.cluster.find<Certificate>(certificates, "shop/shop.example.com");
  t.match(made, {
    metadata: {
      labels: { "networking.knative.dev/wildcardDomain": "example.com" },
      annotations: { "networking.knative.dev/certificate.class": "mine" },
      ownerReferences: [{ kind: namespaces.kind, name: "shop", uid: "uid-ns", controller: true }],
    },
    spec: { dnsNames: ["*.shop.example.com"], secretName: "shop.example.com" },
  });
});
