/** From a Route's host to a certificate that serves it, with a stand-in for cert-manager. */
import { X509Certificate } from "node:crypto";
import { test } from "tap";
import { conditionOf, isReady } from "../../api/conditions.ts";
import { deployments, namespaces, secrets, type Deployment, type Secret } from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import { certificates, kIngresses, type Certificate, type KIngress } from "../../api/networking.ts";
import { kServices, revisions, type KService, type Revision } from "../../api/serving.ts";
import { standInCertManager } from "./cert-manager-stand-in.ts";
import { startControlPlane } from "./control-plane.ts";

const ksvc: KService = {
  apiVersion: "serving.knative.dev/v1",
  kind: "Service",
  metadata: { name: "hello", namespace: "default" },
  spec: {
    template: { spec: { containers: [{ name: "user-container", image: "dev.local/hello" }], timeoutSeconds: 300 } },
    traffic: [{ latestRevision: true, percent: 100 }],
  },
};
const secretOf = (ingress: KIngress): string => ingress.spec.tls?.[0]?.secretName ?? "";
const isHttps = ({ status }: KService): boolean => status?.url?.startsWith("https:") === true;
const hasTls = (ingress: KIngress): boolean => (ingress.spec.tls ?? []).length > 0;

test("cert-manager is installed later: the host it is asked for becomes https", async (t) => {
  const plane = await startControlPlane(t, { "config-network": { "external-domain-tls": "Enabled" } });
  await plane.client.create(kServices, ksvc);
  await plane.bringUp("hello-00001");
  const without = await plane.until<KService>(kServices, "hello", isReady);
  t.equal(without.status?.url, "http://hello.default.example.com", "served by HTTP meanwhile");
  const { items } = await plane.client.list<Certificate>(certificates);
  const name = items[0]?.metadata.name ?? "";
  const waiting = await plane.until<Certificate>(
    certificates,
    name,
    (found) => conditionOf(found, "Ready") !== undefined,
  );
  t.equal(conditionOf(waiting, "Ready")?.reason, "CertManagerNotInstalled", "and says what it waits for");

  const stop = new AbortController();
  const standIn = await standInCertManager(plane.client, stop.signal);
  t.teardown(() => stop.abort());
  const work = async (): Promise<void> => {
    await plane.until<Certificate>(certificates, name, isReady);
    const ingress = await plane.until<KIngress>(kIngresses, "hello", hasTls);
    t.match(ingress.spec.tls, [{ hosts: ["hello.default.example.com"], secretNamespace: "default" }]);
    await plane.until<KService>(kServices, "hello", (found) => isReady(found) && isHttps(found));
    const secret = await plane.client.get<Secret>(secrets, secretOf(ingress), "default");
    const leaf = new X509Certificate(Buffer.from(secret.data?.["tls.crt"] ?? "", "base64"));
    t.ok(leaf.checkIssued(new X509Certificate(standIn.ca)));
    t.equal(leaf.checkHost("hello.default.example.com"), "hello.default.example.com");
  };
  await Promise.race([work(), standIn.ended]);
  await plane.settled();
  t.same(
    plane.events.filter((event) => event.startsWith("InternalError")),
    [],
  );
});

test("a namespace with a wildcard certificate needs no other", async (t) => {
  const plane = await startControlPlane(t, {
    "config-network": {
      "external-domain-tls": "Enabled",
      "namespace-wildcard-cert-selector": "matchLabels: { tls: all }",
    },
  });
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const standIn = await standInCertManager(plane.client, stop.signal);
  const work = async (): Promise<void> => {
    const namespace = await plane.client.get<KubeObject>(namespaces, "default");
    const labels = { ...namespace.metadata.labels, tls: "all" };
    await plane.client.update(namespaces, { ...namespace, metadata: { ...namespace.metadata, labels } });
    await plane.until<Certificate>(certificates, "default.example.com", isReady);
    await plane.client.create(kServices, ksvc);
    await plane.bringUp("hello-00001");
    const served = await plane.until<KService>(kServices, "hello", isReady);
    t.equal(served.status?.url, "https://hello.default.example.com");
    const ingress = await plane.until<KIngress>(kIngresses, "hello", hasTls);
    t.equal(secretOf(ingress), "default.example.com");
  };
  await Promise.race([work(), standIn.ended]);
  t.same(
    (await plane.client.list<Certificate>(certificates)).items.map(({ metadata }) => metadata.name),
    ["default.example.com"],
  );
});

test("system-internal-tls: pods come once their namespace has its certificate", async (t) => {
  const plane = await startControlPlane(t, { "config-network": { "system-internal-tls": "Enabled" } });
  await plane.client.create(kServices, ksvc);
  await plane.until<Revision>(revisions, "hello-00001", (found) =>
    /^Certificate serving-certs is not ready: .*cert-manager/u.test(conditionOf(found, "Ready")?.message ?? ""),
  );
  t.same((await plane.client.list(deployments)).items, [], "a pod without its certificate would hang");

  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const standIn = await standInCertManager(plane.client, stop.signal);
  const work = async (): Promise<void> => {
    await plane.bringUp("hello-00001");
    await plane.until<KService>(kServices, "hello", isReady);
    const deployment = await plane.client.get<Deployment>(deployments, "hello-00001-deployment", "default");
    const { containers, volumes } = deployment.spec.template.spec;
    t.match(volumes, [{ name: "server-certs", secret: { secretName: "serving-certs" } }]);
    t.match(containers[1]?.volumeMounts, [{ name: "server-certs", mountPath: "/var/lib/knative/certs" }]);
    const ingress = await plane.client.get<KIngress>(kIngresses, "hello", "default");
    t.equal(ingress.spec.rules?.[0]?.http.paths[0]?.splits[0]?.servicePort, 443);
    const namesIn = async (name: string, namespace: string): Promise<string[]> => {
      const { data } = await plane.until<Secret>(secrets, name, () => true, namespace);
      const leaf = new X509Certificate(Buffer.from(data?.["tls.crt"] ?? "", "base64"));
      t.ok(leaf.checkIssued(new X509Certificate(standIn.ca)));
      return (leaf.subjectAltName ?? "").split(", ");
    };
    t.same(await namesIn("serving-certs", "default"), ["DNS:kn-user-default", "DNS:data-plane.knative.dev"]);
    t.same(await namesIn("routing-serving-certs", "knative-serving"), ["DNS:kn-routing", "DNS:data-plane.knative.dev"]);
  };
  await Promise.race([work(), standIn.ended]);
});
