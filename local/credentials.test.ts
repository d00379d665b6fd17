import { test } from "tap";
import { once } from "node:events";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { connect, createServer } from "node:tls";
import { parse } from "yaml";
import { kubeconfig, loadCredentials, tokenAuthority } from "./credentials.ts";

const folder = mkdtempSync(path.join(tmpdir(), "swell-credentials-"));
const nowMs = Date.now();
const dayMs = 86_400_000;

test("the serving certificate is trusted under every name of the API server", async (t) => {
  const { ca, serving } = await loadCredentials(folder, nowMs);
  const server = createServer(serving, (socket) => socket.end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  for (const servername of ["localhost", "kubernetes.default.svc"]) {
    const socket = connect({ host: "127.0.0.1", port, ca, servername });
    await once(socket, "secureConnect");
    t.ok(socket.authorized, servername);
    socket.destroy();
  }
  server.close();
  const certificate = new X509Certificate(serving.cert);
  t.ok(certificate.checkIP("127.0.0.1"));
  t.ok(certificate.checkIP("::1"));
});

test("credentials survive a restart and are readable by their owner only", async (t) => {
  const first = await loadCredentials(folder, nowMs);
  const token = first.issueToken("default", "robot", "uid");
  const second = await loadCredentials(folder, nowMs);
  t.same([second.ca, second.serving, second.adminToken], [first.ca, first.serving, first.adminToken]);
  t.equal(second.authenticate(token)?.username, "system:serviceaccount:default:robot");
  for (const file of readdirSync(folder)) t.equal(statSync(path.join(folder, file)).mode & 0o777, 0o600, file);
});

test("a serving certificate that is about to expire is replaced under the same CA", async (t) => {
  const first = await loadCredentials(folder, nowMs);
  const later = await loadCredentials(folder, nowMs + 340 * dayMs);
  t.equal(later.ca, first.ca);
  t.not(later.serving.cert, first.serving.cert);
});

test("authenticate knows the admin and service accounts, and nobody else", async (t) => {
  const own = await loadCredentials(folder, nowMs);
  t.same(own.authenticate(own.adminToken), {
    username: "kubernetes-admin",
    groups: ["system:masters", "system:authenticated"],
  });
  t.same(own.authenticate(own.issueToken("shop", "cart", "uid")), {
    username: "system:serviceaccount:shop:cart",
    groups: ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
  });
  const token = own.issueToken("shop", "cart", "uid");
  const [header, , signature] = token.split(".");
  const forged = Buffer.from(JSON.stringify({ iss: "x", sub: "system:admin" })).toString("base64url");
  for (const wrong of ["", "x", "a.b.c", `${header}.${forged}.${signature}`, token.slice(0, -4), `${own.adminToken}x`])
    t.equal(own.authenticate(wrong), undefined, wrong);
});

test("a token expires, and one signed with another key is refused", async (t) => {
  const pem = () =>
    generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  let nowSeconds = 1000;
  const key = pem();
  const tokens = tokenAuthority(key, () => nowSeconds);
  const token = tokens.issue("a", "b", "c");
  t.ok(tokens.authenticate(token));
  t.equal(tokenAuthority(pem(), () => nowSeconds).authenticate(token), undefined);
  nowSeconds += 366 * 86_400;
  t.equal(tokens.authenticate(token), undefined);
});

test("the kubeconfig has one context, named swell", async (t) => {
  const config = parse(kubeconfig({ ca: "CA", adminToken: "token" }, "https://127.0.0.1:7443"));
  t.match(config, {
    "current-context": "swell",
    contexts: [{ name: "swell", context: { cluster: "swell", user: "swell" } }],
    clusters: [{ name: "swell", cluster: { server: "https://127.0.0.1:7443", "certificate-authority-data": "Q0E=" } }],
    users: [{ name: "swell", user: { token: "token" } }],
  });
});

test("clean up", async () => rmSync(folder, { recursive: true }));
