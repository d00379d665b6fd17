import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Registry } from "prom-client";
import { test } from "tap";
import { Agent, request } from "undici";
import { defaulted as withDefaults, service } from "../../api/validation/samples.ts";
import { exposedBy, select } from "../../process/metrics-fixture.ts";
import { parsePlatformConfig } from "../config/store.ts";
import { makeCertificate, serviceNames } from "./certificate.ts";
import { createWebhookServer } from "./server.ts";
import { WebhookMetrics } from "./webhook-metrics.ts";

const names = serviceNames("webhook", "knative-serving", "cluster.local");
const servername = "webhook.knative-serving.svc";
const config = parsePlatformConfig(
  (name) => (name === "config-deployment" ? { "queue-sidecar-image": "dev.local/q:1" } : {}),
  "cluster.local",
);
const review = (object: object, fields: object = {}) => ({
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: { uid: "42", operation: "CREATE", userInfo: { username: "ada" }, object, ...fields },
});

async function start(t: { teardown(run: () => Promise<void>): void }) {
  const certificate = await makeCertificate(names, Date.now());
  const asked: unknown[] = [];
  const metrics = new WebhookMetrics();
  const webhook = await createWebhookServer({
    certificate,
    clusterDomain: "cluster.local",
    config: () => config,
    tryPod: async (pod) => {
      asked.push(pod);
      return "no room";
    },
    metrics,
  });
  t.teardown(() => webhook.close());
  webhook.server.listen(0, "127.0.0.1");
  await once(webhook.server, "listening");
  const origin = `https://127.0.0.1:${(webhook.server.address() as AddressInfo).port}`;
  const clientFor = (ca: string, options: object = {}): Agent => {
    const agent = new Agent({ connect: { ca, servername, ...options } });
    t.teardown(() => agent.close());
    return agent;
  };
  const post = async (path: string, body: string, agent: Agent, type = "application/json", host = servername) => {
    const answer = await request(origin + path, {
      method: "POST",
      headers: { "content-type": type, host },
      body,
      dispatcher: agent,
    });
    return { code: answer.statusCode, text: await answer.body.text() };
  };
  return { webhook, certificate, clientFor, post, asked, origin, metrics };
}

test("the three doors", async (t) => {
  const { certificate, clientFor, post, asked } = await start(t);
  const agent = clientFor(certificate.ca);
  const ask = async (path: string, body: object) => {
    const { code, text } = await post(path, JSON.stringify(body), agent);
    t.equal(code, 200);
    return JSON.parse(text) as {
      response: { uid: string; allowed: boolean; patch?: string; status?: { message: string } };
    };
  };
  const defaulted = await ask("/defaulting?timeout=10s", review(service()));
  t.match(defaulted, {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: { uid: "42", allowed: true },
  });
  t.match(Buffer.from(defaulted.response.patch ?? "", "base64").toString(), /user-container/u);

  const beta = await ask("/resource-validation", {
    ...review(withDefaults(service())),
    apiVersion: "admission.k8s.io/v1beta1",
  });
  t.match(beta, { apiVersion: "admission.k8s.io/v1beta1", response: { uid: "42", allowed: true } });
  const refused = await ask("/resource-validation", review(withDefaults(service({ container: { image: "" } }))));
  t.equal(
    refused.response.status?.message,
    "validation failed: missing field(s): spec.template.spec.containers[0].image",
  );
  const dryRun = await ask("/resource-validation", review(withDefaults(service()), { dryRun: true }));
  t.equal(dryRun.response.status?.message, "validation callback failed: dry run failed with no room: spec.template");
  t.equal(asked.length, 1);

  const configMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "config-gc" },
    data: { "min-non-active-revisions": "x" },
  };
  const bad = await ask("/config-validation", review(configMap));
  t.match(bad.response.status?.message, /^validation failed: failed to parse "min-non-active-revisions"/u);
});

test("what was asked is counted, probes are not", async (t) => {
  const { certificate, clientFor, post, origin, metrics } = await start(t);
  const agent = clientFor(certificate.ca);
  await request(`${origin}/health`, { dispatcher: agent, headers: { host: servername } });
  const kind = { group: "serving.knative.dev", version: "v1", kind: "Service" };
  await post("/defaulting", JSON.stringify(review(service(), { kind })), agent);
  await post("/resource-validation", JSON.stringify(review(service({ container: { image: "" } }), { kind })), agent);
  await post("/defaulting", "{}", agent);
  const register = new Registry();
  metrics.register(register);
  const exposed = await exposedBy(register);
  const count = (name: string, labels: Record<string, string>): number | undefined =>
    select(exposed, `${name}_count`, labels)[0]?.value;
  const handled = { kn_webhook_resource_kind: "Service", kn_webhook_operation_type: "CREATE" };
  t.equal(
    count("kn_webhook_handler_duration_seconds", {
      ...handled,
      kn_webhook_type: "defaulting",
      kn_webhook_operation_status: "success",
    }),
    1,
  );
  t.equal(
    count("kn_webhook_handler_duration_seconds", {
      ...handled,
      kn_webhook_type: "validation",
      kn_webhook_operation_status: "failed",
    }),
    1,
  );
  const http = { http_request_method: "POST", server_address: servername, url_scheme: "https" };
  t.equal(count("http_server_request_duration_seconds", { ...http, http_response_status_code: "200" }), 2);
  t.equal(count("http_server_request_duration_seconds", { ...http, http_response_status_code: "400" }), 1);
  t.equal(count("http_server_request_duration_seconds", { http_request_method: "GET" }), undefined);
  t.ok((select(exposed, "http_server_request_body_size_bytes_sum")[0]?.value ?? 0) > 0);
  t.ok((select(exposed, "http_server_response_body_size_bytes_sum")[0]?.value ?? 0) > 0);
});

test("what is no review", async (t) => {
  const { certificate, clientFor, post } = await start(t);
  const agent = clientFor(certificate.ca);
  for (const type of ["text/plain", "application/yaml"])
    t.same(await post("/defaulting", "{}", agent, type), {
      code: 415,
      text: "invalid Content-Type, want `application/json`",
    });
  t.equal((await post("/defaulting", "{", agent)).code, 400);
  t.equal((await post("/defaulting", "{}", agent)).code, 400);
  t.equal((await post("/elsewhere", "{}", agent)).code, 404);
  const large = JSON.stringify(review({ ...service(), data: "x".repeat(3 * 1024 * 1024) }));
  t.equal((await post("/defaulting", large, agent)).code, 413);
});

test("TLS", async (t) => {
  const { webhook, certificate, clientFor, post } = await start(t);
  const body = JSON.stringify(review(service()));
  const failsWith = async (agent: Agent, code: RegExp, name: string, host = servername) => {
    const error: unknown = await post("/defaulting", body, agent, "application/json", host).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    t.match((error as { code?: string } | undefined)?.code, code, name);
  };
  await failsWith(
    clientFor(certificate.ca, { maxVersion: "TLSv1.2" }),
    /PROTOCOL_VERSION|ERR_SSL/u,
    "older TLS is refused",
  );
  const other = "gateway.knative-serving.svc";
  await failsWith(clientFor(certificate.ca), /ERR_TLS_CERT_ALTNAME_INVALID/u, "other names are not covered", other);

  const next = await makeCertificate(names, Date.now());
  const kept = clientFor(certificate.ca);
  t.equal((await post("/defaulting", body, kept)).code, 200);
  webhook.useCertificate(next);
  t.equal((await post("/defaulting", body, clientFor(next.ca))).code, 200, "new connections get the new certificate");
  t.equal((await post("/defaulting", body, kept)).code, 200, "old ones go on");
  await failsWith(clientFor(certificate.ca), /CERT|SIGNATURE|VERIFY/u, "the old CA is no longer served");
});
