/** What a Revision does while its namespace has no certificate for sidecars (spec: serving-api 4.11). */
import path from "node:path";
import { test } from "tap";
import { deployments, type Deployment } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { revisions } from "../../api/serving.ts";
import { objectsIn, reconcileRow } from "../table.ts";
import { madeFor, makeWith, pa, up } from "./revision-fixture.ts";

const key = "default/hello-00001";
const given = objectsIn(path.join(import.meta.dirname, "testdata", "ready.in.yaml"));
const enabled = { "config-network": { "system-internal-tls": "Enabled" } };
const namespace: KubeObject = { apiVersion: "v1", kind: "Namespace", metadata: { name: "default", uid: "uid-ns" } };
const secret = (data: Record<string, string>): KubeObject =>
  ({ apiVersion: "v1", kind: "Secret", metadata: { name: "serving-certs", namespace: "default" }, data }) as KubeObject;
const foreign: KubeObject = {
  apiVersion: "networking.internal.knative.dev/v1alpha1",
  kind: "Certificate",
  metadata: { name: "serving-certs", namespace: "default" },
};
const both = secret({ "tls.crt": "Yw==", "tls.key": "aw==" });
/** Made while there was no TLS. */
const running = madeFor(given, {}, up, pa(["True"], true, { serviceName: "hello-00001" }));

interface Row {
  name: string;
  objects: KubeObject[];
  config?: typeof enabled;
  writes: string[];
  resources: string;
  mounts?: boolean;
  error?: string;
}
const asked = "create certificates serving-certs";
const rows: Row[] = [
  {
    name: "without TLS there is none",
    objects: [...running, namespace],
    config: { "config-network": { "system-internal-tls": "Disabled" } },
    writes: [],
    resources: "True",
    mounts: false,
  },
  {
    name: "the first Revision of a namespace asks for it, and has no pods before",
    objects: [...given, namespace],
    writes: [asked],
    resources: "Unknown CertificateNotReady: Certificate serving-certs is not ready: ",
  },
  {
    name: "a Secret that is half full is none",
    objects: [...given, namespace, secret({ "tls.crt": "Yw==", "tls.key": "" })],
    writes: [asked],
    resources: "Unknown CertificateNotReady: Certificate serving-certs is not ready: ",
  },
  {
    name: "pods that serve already are left alone until it is there",
    objects: [...running, namespace],
    writes: [asked],
    resources: "True",
    mounts: false,
  },
  {
    name: "and get it then",
    objects: [...running, namespace, both],
    writes: [asked, "update deployments hello-00001-deployment"],
    resources: "True",
    mounts: true,
  },
  {
    name: "a Certificate of that name that is somebody else's is not touched",
    objects: [...running, namespace, foreign, both],
    writes: [],
    resources: "False NotOwned: There is an existing certificate serving-certs that we don't own.",
    mounts: false,
    error: "There is an existing certificate serving-certs that we don't own.",
  },
];

for (const { name, objects, config = enabled, writes, resources, mounts, error } of rows)
  test(`certificate of sidecars: ${name}`, async (t) => {
    const row = await reconcileRow(t, { make: makeWith(), key, objects, config });
    const children = row.writes.filter((write) => !write.endsWith(" status"));
    t.same({ writes: children, error: row.error }, { writes, error });
    const said = row.conditions(revisions).find((line) => line.startsWith("ResourcesAvailable"));
    t.equal(said, `ResourcesAvailable ${resources}`);
    const volumes = row.cluster.find<Deployment>(deployments, `${key}-deployment`)?.spec.template.spec.volumes;
    t.equal(
      volumes === undefined ? undefined : volumes.some(({ name }) => name === "server-certs"),
      mounts === undefined ? undefined : mounts || (volumes === undefined ? undefined : false),
    );
  });

test("certificate of sidecars: what it looks like", async (t) => {
  const annotations = { "networking.knative.dev/certificate-class": "mine" };
  const [revision, ...rest] = given as [KubeObject, ...KubeObject[]];
  const annotated = { ...revision, metadata: { ...revision.metadata, annotations } };
  const row = await reconcileRow(t, {
    make: makeWith(),
    key,
    objects: [annotated, ...rest, namespace],
    config: enabled,
  });
  t.match(row.cluster.find<Certificate>(certificates, "default/serving-certs"), {
    metadata: {
      labels: { "networking.knative.dev/certificate-type": "system-internal" },
      annotations: { "networking.knative.dev/certificate.class": "mine" },
      ownerReferences: [{ kind: "Namespace", name: "default", uid: "uid-ns", controller: true }],
    },
    spec: { dnsNames: ["kn-user-default", "data-plane.knative.dev"], secretName: "serving-certs" },
  });
});
