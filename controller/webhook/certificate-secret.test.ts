import { test, type Test } from "tap";
import { secrets, type Secret } from "../../api/core.ts";
import { dayMs } from "../../process/certificate-authority.ts";
import { silentLogger } from "../../process/logger.ts";
import { failure, MemoryCluster } from "../memory-cluster.ts";
import { sharedCertificate } from "./certificate-secret.ts";
import { makeCertificate, serviceNames, type Certificate } from "./certificate.ts";

const names = serviceNames("webhook", "knative-serving", "cluster.local");
const key = "knative-serving/webhook-certs";
const nowMs = Date.UTC(2026, 0, 10);

const secret = (certificate?: Certificate): Secret => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "webhook-certs", namespace: "knative-serving", labels: { kept: "yes" } },
  ...(certificate === undefined ? {} : { data: encoded(certificate) }),
});
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const encoded = ({ key, cert, ca }: Certificate): Record<string, string> => ({
  "server-key.pem": base64(key),
  "server-cert.pem": base64(cert),
  "ca-cert.pem": base64(ca),
});

const replica = (cluster: MemoryCluster, atMs = nowMs) =>
  sharedCertificate({
    client: cluster,
    namespace: "knative-serving",
    names,
    log: silentLogger,
    nowMs: () => atMs,
  });
const storedIs = (t: Test, cluster: MemoryCluster, certificate: Certificate): void => {
  t.same(cluster.find<Secret>(secrets, key)?.data, encoded(certificate));
};

test("the empty Secret of the manifests is filled, once for all replicas", async (t) => {
  const cluster = new MemoryCluster([secret()]);
  const first = await replica(cluster);
  storedIs(t, cluster, first.certificate);
  t.same(cluster.find<Secret>(secrets, key)?.metadata.labels, { kept: "yes" });
  const second = await replica(cluster);
  t.same(second.certificate, first.certificate);
  t.same(cluster.writes, ["update secrets webhook-certs"]);
});

test("a Secret that is gone is made", async (t) => {
  const cluster = new MemoryCluster([]);
  const { certificate } = await replica(cluster);
  storedIs(t, cluster, certificate);
  t.same(cluster.writes, ["create secrets webhook-certs"]);
});

test("when it is looked at again", async (t) => {
  const made = await makeCertificate(names, nowMs);
  const cases = [
    { name: "a new one after an hour, for another replica may renew it", atMs: nowMs, wantMs: 3_600_000, writes: 0 },
    { name: "one that is soon to be renewed just then", atMs: nowMs + 6 * dayMs - 60_000, wantMs: 60_000, writes: 0 },
    { name: "one with a day left is renewed now", atMs: nowMs + 6 * dayMs, wantMs: 3_600_000, writes: 1 },
  ];
  for (const { name, atMs, wantMs, writes } of cases) {
    const cluster = new MemoryCluster([secret(made)]);
    const { certificate, againMs } = await replica(cluster, atMs);
    t.equal(againMs, wantMs, name);
    t.equal(cluster.writes.length, writes, name);
    t.equal(certificate.cert === made.cert, writes === 0, name);
  }
});

test("a certificate that will not do is replaced", async (t) => {
  const other = await makeCertificate(["elsewhere"], nowMs);
  const cluster = new MemoryCluster([secret(other)]);
  const { certificate } = await replica(cluster);
  t.not(certificate.cert, other.cert);
  storedIs(t, cluster, certificate);
});

test("the replica that was quicker wins", async (t) => {
  const quicker = await makeCertificate(names, nowMs);
  const cluster = new MemoryCluster([secret()]);
  cluster.refuse = (write) => {
    if (!write.startsWith("update")) return undefined;
    cluster.refuse = undefined;
    // Written between our read and our write.
    Object.assign(cluster.find<Secret>(secrets, key)!, { data: encoded(quicker) });
    return failure(409, "Conflict", "the object has been modified");
  };
  const { certificate } = await replica(cluster);
  t.same(certificate, quicker);
  t.same(cluster.writes, []);
});

test("a server that is away for a moment is asked again", async (t) => {
  const cluster = new MemoryCluster([secret()]);
  let refusals = 2;
  cluster.refuse = () => (refusals-- > 0 ? failure(503, "ServiceUnavailable", "away") : undefined);
  const { certificate } = await replica(cluster);
  storedIs(t, cluster, certificate);
});
