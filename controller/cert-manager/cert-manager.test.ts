/** Every row of serving-api 4.15 for the bridge to cert-manager: what is asked for, and what is said of it. */
import { test } from "tap";
import { services } from "../../api/core.ts";
import { apiVersionOf, keyOf, type KubeObject, type Resource } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import type { Lister } from "../../kube/informer.ts";
import { parseCertManagerConfig } from "../config/certmanager.ts";
import { failure, type MemoryCluster } from "../memory-cluster.ts";
import { reconcileRow, type ConfigData } from "../table.ts";
import { cmCertificates, cmChallenges, cmClusterIssuers, cmIssuers, type CmCertificate } from "./kinds.ts";
import { certManagerReconciler } from "./reconciler.ts";
import { makeCmCertificate } from "./resources.ts";
import type { Presence } from "./watch.ts";

const key = "default/route-1";
const classOf = { "networking.knative.dev/certificate.class": "cert-manager.certificate.networking.knative.dev" };
const host = "hello.default.example.com";

function certificate(
  spec: Partial<Certificate["spec"]> = {},
  labels: Record<string, string> = { "networking.knative.dev/certificate-type": "external-domain" },
  annotations: Record<string, string> = classOf,
): Certificate {
  return {
    apiVersion: apiVersionOf(certificates),
    kind: "Certificate",
    metadata: { name: "route-1", namespace: "default", uid: "uid-c", labels, annotations },
    spec: { dnsNames: [host], domain: "example.com", secretName: "route-1", ...spec },
  };
}

const long = (length: number, domain: string): string =>
  `${"a".repeat(63)}.${"b".repeat(length - 65 - domain.length)}.${domain}`;
const issuers = parseCertManagerConfig({
  issuerRef: "{ kind: Issuer, name: letsencrypt }",
  clusterLocalIssuerRef: "name: local",
});
const type = (text: string) => ({ "networking.knative.dev/certificate-type": text });

const made: { name: string; given: Certificate; want: object }[] = [
  {
    name: "the first name is the common name",
    given: certificate({ dnsNames: [host, "www.example.com"] }),
    want: {
      commonName: host,
      secretName: "route-1",
      dnsNames: [host, "www.example.com"],
      issuerRef: { kind: "Issuer", name: "letsencrypt" },
      secretTemplate: { labels: { "networking.internal.knative.dev/certificate-uid": "uid-c" } },
    },
  },
  {
    name: "hosts inside the cluster have an issuer of their own",
    given: certificate({}, type("cluster-local-domain")),
    want: { issuerRef: { kind: "ClusterIssuer", name: "local" } },
  },
  {
    name: "what is not set is signed by the stock issuer",
    given: certificate({}, type("system-internal")),
    want: { issuerRef: { kind: "ClusterIssuer", name: "knative-selfsigned-issuer" } },
  },
  {
    name: "without a type it is for outside",
    given: certificate({}, {}),
    want: { issuerRef: { name: "letsencrypt" } },
  },
  {
    name: "63 characters are a common name",
    given: certificate({ dnsNames: [`${"a".repeat(51)}.example.com`] }),
    want: { dnsNames: [`${"a".repeat(51)}.example.com`] },
  },
  {
    name: "of 64 a short name of the domain is put before",
    given: certificate({ dnsNames: [`${"a".repeat(52)}.example.com`] }),
    want: { commonName: "k.example.com", dnsNames: ["k.example.com", `${"a".repeat(52)}.example.com`] },
  },
  {
    name: "a domain of 61 characters can be shortened",
    given: certificate({ dnsNames: [long(130, "c".repeat(61))], domain: "c".repeat(61) }),
    want: { commonName: `k.${"c".repeat(61)}` },
  },
  {
    name: "one of 62 cannot",
    given: certificate({ dnsNames: [long(130, "c".repeat(62))], domain: "c".repeat(62) }),
    want: { is: "refused", reason: "CommonName Too Long" },
  },
  {
    name: "nor can a DomainMapping's, which is its own domain",
    given: certificate({ dnsNames: [long(130, "d")], domain: long(130, "d") }),
    want: { is: "refused", reason: "CommonName Too Long" },
  },
  {
    name: "nor one without a domain",
    given: { ...certificate(), spec: { dnsNames: [long(130, "d")], secretName: "s" } },
    want: { is: "refused", reason: "CommonName Too Long" },
  },
  {
    name: "a type that is none is refused",
    given: certificate({}, type("constructor")),
    want: { is: "refused", reason: "certificate type invalid" },
  },
];
for (const { name, given, want } of made)
  test(`cert-manager's Certificate: ${name}`, async (t) => {
    const result = makeCmCertificate(given, issuers);
    t.match(result.is === "made" ? result.certificate.spec : result, want);
  });

const owner = {
  apiVersion: apiVersionOf(certificates),
  kind: "Certificate",
  name: "route-1",
  uid: "uid-c",
  controller: true,
};
const stock = { kind: "ClusterIssuer", name: "knative-selfsigned-issuer" };
const secretTemplate = { labels: { "networking.internal.knative.dev/certificate-uid": "uid-c" } };
const cm = (status: CmCertificate["status"], spec: Partial<CmCertificate["spec"]> = {}, owned = true): KubeObject =>
  ({
    apiVersion: apiVersionOf(cmCertificates),
    kind: "Certificate",
    metadata: { name: "route-1", namespace: "default", ownerReferences: owned ? [owner] : [] },
    spec: { commonName: host, secretName: "route-1", dnsNames: [host], issuerRef: stock, secretTemplate, ...spec },
    status,
  }) as KubeObject;
const says = (status: "True" | "False" | "Unknown", reason: string, more: object = {}) =>
  cm({ conditions: [{ type: "Ready", status, reason, message: "because" }], ...more });

const acme: KubeObject[] = [
  {
    apiVersion: apiVersionOf(cmClusterIssuers),
    kind: "ClusterIssuer",
    metadata: { name: stock.name },
    spec: { acme: { solvers: [{ http01: {} }] } },
  } as KubeObject,
  {
    apiVersion: apiVersionOf(cmChallenges),
    kind: "Challenge",
    metadata: { name: "asked", namespace: "default" },
    spec: { token: "t0k3n", dnsName: host },
  } as KubeObject,
  {
    apiVersion: apiVersionOf(services),
    kind: "Service",
    metadata: {
      name: "solver",
      namespace: "default",
      // zlib.adler32(b"hello.default.example.com")
      labels: { "acme.cert-manager.io/http-domain": "2116553135" },
      ownerReferences: [{ apiVersion: apiVersionOf(cmChallenges), kind: "Challenge", name: "asked", uid: "u" }],
    },
    spec: { ports: [{ port: 80, targetPort: 8089 }] },
  } as KubeObject,
];
const challenge = {
  url: `http://${host}/.well-known/acme-challenge/t0k3n`,
  serviceName: "solver",
  serviceNamespace: "default",
  servicePort: 8089,
};

interface Row {
  name: string;
  given?: Certificate;
  objects?: KubeObject[];
  config?: ConfigData;
  presence?: Presence["is"];
  ready: string[];
  writes?: string[];
  events?: string[];
  error?: string;
  challenges?: object[];
  notAfter?: string;
  againMs?: number;
  refuse?: (write: string) => ReturnType<typeof failure> | undefined;
  unsettled?: string;
}
const status = "update certificates route-1 status";
const silent = "Ready Unknown NoCertManagerCertCondition: cert-manager has not said anything of its Certificate yet.";
const other = { "networking.knative.dev/certificate.class": "other" };
const failed = (error: string) => ({
  error,
  events: [`Warning InternalError: ${error}`],
  unsettled: "it is told of each time",
});

const rows: Row[] = [
  {
    name: "a new Certificate is asked for",
    writes: ["create certificates route-1", status],
    events: ["Created: Created Cert-Manager Certificate default/route-1"],
    ready: [silent],
  },
  { name: "nothing is said yet", objects: [cm({})], ready: [silent] },
  { name: "it is issued", objects: [says("True", "Ready")], ready: ["Ready True"] },
  {
    name: "the end of its life is copied, and it is looked at again when it is to be renewed",
    objects: [says("True", "Ready", { notAfter: "2026-02-01T00:00:00Z", renewalTime: "2026-01-02T01:00:00Z" })],
    notAfter: "2026-02-01T00:00:00Z",
    againMs: 3_600_000,
    ready: ["Ready True"],
  },
  {
    name: "no timer waits longer than half a day",
    objects: [says("True", "Ready", { renewalTime: "2027-01-01T00:00:00Z" })],
    againMs: 12 * 3_600_000,
    ready: ["Ready True"],
  },
  ...["InProgress", "Pending", "TemporaryCertificate"].map((reason) => ({
    name: `${reason} is on its way, not a failure`,
    objects: [says("False", reason)],
    ready: [`Ready Unknown ${reason}: because`],
  })),
  { name: "any other reason is one", objects: [says("False", "Denied")], ready: ["Ready False Denied: because"] },
  { name: "what it does not know", objects: [says("Unknown", "Why")], ready: ["Ready Unknown Why: because"] },
  {
    name: "an ACME issuer's questions are shown while it is not ready",
    objects: [says("False", "Pending"), ...acme],
    ready: ["Ready Unknown Pending: because"],
    challenges: [challenge],
  },
  {
    name: "no longer once it is",
    given: { ...certificate(), status: { http01Challenges: [challenge] } },
    objects: [says("True", "Ready"), ...acme],
    ready: ["Ready True"],
  },
  {
    name: "and again while it is renewed, which it is ready for",
    objects: [says("True", "Ready", { renewalTime: "2026-01-01T00:00:00Z" }), ...acme],
    ready: ["Ready True", "Renewing (Info) True"],
    challenges: [challenge],
  },
  {
    name: "a renewal that is over is forgotten",
    given: {
      ...certificate(),
      status: {
        conditions: [
          { type: "Renewing", status: "True" },
          { type: "Ready", status: "True" },
        ],
      },
    },
    objects: [says("True", "Ready")],
    ready: ["Ready True"],
  },
  {
    name: "an issuer that signs by itself asks nothing",
    objects: [says("False", "Pending"), ...acme.slice(1)],
    ready: ["Ready Unknown Pending: because"],
  },
  {
    name: "a solver that is not there yet is waited for",
    objects: [says("False", "Pending"), ...acme.slice(0, 2)],
    ready: ["Ready Unknown Pending: because"],
  },
  {
    name: "another issuer is asked for",
    objects: [cm({})],
    config: { "config-certmanager": { issuerRef: "name: company" } },
    writes: ["update certificates route-1", status],
    events: ["Updated: Updated Spec for Cert-Manager Certificate default/route-1"],
    ready: [silent],
  },
  {
    name: "what cert-manager fills in is left alone",
    objects: [cm({}, { issuerRef: { ...stock, group: "cert-manager.io" }, revisionHistoryLimit: 1 } as object)],
    ready: [silent],
  },
  {
    name: "a name that cannot be is refused",
    given: certificate({ dnsNames: [long(130, "d")], domain: long(130, "d") }),
    ready: [
      `Ready False CommonName Too Long: error creating cert-manager certificate: CommonName (${long(130, "d")}) longer than 63 characters`,
    ],
    events: [
      `Warning InternalError: error creating cert-manager certificate: CommonName (${long(130, "d")}) longer than 63 characters`,
    ],
  },
  {
    name: "one of somebody else is not touched",
    objects: [cm({}, {}, false)],
    ready: ['Ready False NotOwned: There is an existing CertManagerCertificate "route-1" that we do not own.'],
    ...failed('There is an existing CertManagerCertificate "route-1" that we do not own.'),
  },
  {
    name: "a refusal is told of",
    refuse: (write) => (write.startsWith("create") ? failure(403, "Forbidden", "no") : undefined),
    ready: ["Ready Unknown ReconcileFailed: cert-manager's Certificate cannot be written: no"],
    ...failed("no"),
    events: [
      "Warning CreationFailed: Failed to create Cert-Manager Certificate default/route-1: ApiError: no",
      "Warning InternalError: no",
    ],
  },
  { name: "another class is somebody else's", given: certificate({}, {}, other), writes: [], ready: [] },
  {
    name: "the older spelling of the class is understood",
    given: certificate(
      {},
      {},
      { "networking.knative.dev/certificate-class": classOf["networking.knative.dev/certificate.class"] },
    ),
    objects: [cm({})],
    ready: [silent],
  },
  {
    name: "without cert-manager it says so",
    presence: "absent",
    ready: [
      "Ready Unknown CertManagerNotInstalled: The cluster has no cert-manager, which is to provide Certificates of class cert-manager.certificate.networking.knative.dev.",
    ],
  },
  {
    name: "what was provided stays good without it",
    given: { ...certificate(), status: { observedGeneration: 1, conditions: [{ type: "Ready", status: "True" }] } },
    presence: "absent",
    writes: [],
    ready: ["Ready True"],
  },
  { name: "before anybody has looked nothing is said", presence: "unknown", writes: [], ready: [] },
];

for (const row of rows)
  test(`the bridge to cert-manager: ${row.name}`, async (t) => {
    const { given = certificate(), objects = [], config = {}, presence = "present", refuse, unsettled } = row;
    const result = await reconcileRow(t, {
      make: (deps) => {
        const cluster = deps.client as MemoryCluster;
        const lister = <T extends KubeObject>(resource: Resource): Lister<T> => ({
          get: (of) => cluster.find<T>(resource, of),
          list: () => [],
          byIndex: () => [],
        });
        const seen: Presence =
          presence === "present"
            ? {
                is: "present",
                certificates: lister(cmCertificates),
                challenges: lister(cmChallenges),
                issuers: lister(cmIssuers),
                clusterIssuers: lister(cmClusterIssuers),
              }
            : { is: presence };
        const reconciler = certManagerReconciler(deps, () => ({ presence: seen, stop: () => {} }));
        reconciler.watch(
          () => {},
          () => {},
        );
        return reconciler;
      },
      key,
      objects: [given, ...objects],
      config,
      ...(refuse === undefined ? {} : { refuse }),
      ...(unsettled === undefined ? {} : { unsettled }),
    });
    t.same(result.conditions(certificates), row.ready);
    t.same(
      { writes: result.writes, events: result.events, error: result.error, againMs: result.againMs },
      { writes: row.writes ?? [status], events: row.events ?? [], error: row.error, againMs: row.againMs },
    );
    const stored = result.cluster.find<Certificate>(certificates, keyOf(given));
    t.same(stored?.status?.http01Challenges, row.challenges);
    t.equal(stored?.status?.notAfter, row.notAfter);
  });
