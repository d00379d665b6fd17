import { X509Certificate } from "node:crypto";
import { test } from "tap";
import { makeCertificate, serviceNames, usableMs } from "./certificate.ts";

const names = serviceNames("webhook", "knative-serving", "cluster.local");
const nowMs = Date.UTC(2026, 0, 10);
const dayMs = 86_400_000;

test("a certificate for every name of the Service, from a CA of its own", async (t) => {
  const { cert, ca, key } = await makeCertificate(names, nowMs);
  const [leaf, issuer] = [new X509Certificate(cert), new X509Certificate(ca)];
  t.ok(leaf.verify(issuer.publicKey));
  t.ok(leaf.checkIssued(issuer));
  t.equal(issuer.ca, true);
  t.equal(leaf.ca, false);
  t.equal(leaf.subjectAltName, names.map((name) => `DNS:${name}`).join(", "));
  t.equal(leaf.validToDate.getTime(), nowMs + 7 * dayMs);
  t.ok(leaf.validFromDate.getTime() < nowMs, "clocks may be late");
  t.match(key, /^-----BEGIN PRIVATE KEY-----/u);
});

test("how long a certificate may be used", async (t) => {
  const made = await makeCertificate(names, nowMs);
  const other = await makeCertificate(names, nowMs);
  const cases: { name: string; certificate: typeof made; atMs: number; of?: string[]; want: number }[] = [
    { name: "a new one", certificate: made, atMs: nowMs, want: 6 * dayMs },
    { name: "one that has a day left", certificate: made, atMs: nowMs + 6 * dayMs, want: 0 },
    { name: "one of the past", certificate: made, atMs: nowMs + 8 * dayMs, want: -2 * dayMs },
    { name: "one of another CA", certificate: { ...made, ca: other.ca }, atMs: nowMs, want: 0 },
    { name: "one without its key", certificate: { ...made, key: "" }, atMs: nowMs, want: 0 },
    { name: "one for other names", certificate: made, atMs: nowMs, of: ["gateway"], want: 0 },
    { name: "none", certificate: { key: "", cert: "", ca: "" }, atMs: nowMs, want: 0 },
    { name: "nonsense", certificate: { ...made, cert: "x" }, atMs: nowMs, want: 0 },
  ];
  for (const { name, certificate, atMs, of = names, want } of cases)
    t.equal(usableMs(certificate, of, atMs), want, name);
});
