import { once } from "node:events";
import https from "node:https";
import type { IncomingMessage } from "node:http";
import { gunzipSync } from "node:zlib";
import { test, type Test } from "tap";
import { pods, serviceAccounts, type Pod } from "../../api/core.ts";
import { silentLogger } from "../../process/logger.ts";
import { servingPair } from "./rest-fixture.ts";
import { startApiServer } from "./server.ts";

interface Answer {
  code: number | undefined;
  headers: IncomingMessage["headers"];
  bytes: Buffer;
  json: any; // oxlint-disable-line typescript/no-explicit-any -- tests look into answers of every shape
}

async function start(t: Test) {
  const { ca, cert, key } = await servingPair();
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: () => ({ username: "tester", groups: [] }),
    issueToken: (namespace, name, { seconds, audiences }) => [namespace, name, seconds, ...audiences].join(" "),
    log: silentLogger,
  });
  t.teardown(() => server.close());
  return {
    client: server.client,
    ask: async (
      method: string,
      path: string,
      body?: string | object,
      headers: Record<string, string> = {},
    ): Promise<Answer> => {
      const request = https.request(`https://127.0.0.1:${server.ports[0]}${path}`, {
        method,
        ca,
        agent: false,
        headers: { authorization: "Bearer x", "content-type": "application/json", ...headers },
      });
      request.end(typeof body === "object" ? JSON.stringify(body) : body);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      const parts: Buffer[] = [];
      for await (const part of response as AsyncIterable<Buffer>) parts.push(part);
      const bytes = Buffer.concat(parts);
      const isZipped = response.headers["content-encoding"] === "gzip";
      return {
        code: response.statusCode,
        headers: response.headers,
        bytes,
        json: JSON.parse((isZipped ? gunzipSync(bytes) : bytes).toString()),
      };
    },
  };
}

const inDefault = (plural: string): string => `/api/v1/namespaces/default/${plural}`;

test("an eviction asks the disruption budgets", async (t) => {
  const { ask, client } = await start(t);
  const pod = (name: string): Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", labels: { app: "web" } },
    spec: { containers: [{ name: "c", image: "x" }] },
  });
  for (const name of ["a", "b"]) {
    const made = await client.create(pods, pod(name));
    const conditions = [{ type: "Ready", status: "True" as const }];
    await client.update(pods, { ...made, status: { conditions } }, { subresource: "status" });
  }
  const budget = {
    metadata: { name: "budget" },
    spec: { minAvailable: "50%", selector: { matchLabels: { app: "web" } } },
  };
  t.equal((await ask("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", budget)).code, 201);
  const evict = (name: string) =>
    ask("POST", `${inDefault("pods")}/${name}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name },
    });
  const dry = { metadata: { name: "a" }, deleteOptions: { dryRun: ["All"] } };
  t.match(await ask("POST", `${inDefault("pods")}/a/eviction`, dry), { code: 201 });
  t.equal(
    (await client.get<Pod>(pods, "a", "default")).metadata.deletionTimestamp,
    undefined,
    "a dry run ends nothing",
  );
  t.match(await evict("a"), { code: 201, json: { status: "Success" } });
  t.match(await evict("b"), {
    code: 429,
    json: {
      reason: "TooManyRequests",
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: {
        causes: [
          {
            reason: "DisruptionBudget",
            message: "The disruption budget budget needs 1 healthy pods and has 1 currently",
          },
        ],
      },
    },
  });
  t.match(await evict("none"), { code: 404 });
});

test("a token for a service account", async (t) => {
  const { ask, client } = await start(t);
  await client.create(serviceAccounts, {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "robot", namespace: "default" },
  });
  const request = (name: string, spec: object) =>
    ask("POST", `${inDefault("serviceaccounts")}/${name}/token`, { spec });
  t.match(await request("robot", { expirationSeconds: 900, audiences: ["me"] }), {
    code: 201,
    json: { kind: "TokenRequest", status: { token: "default robot 900 me" } },
  });
  t.match(await request("robot", {}), { code: 201, json: { status: { token: "default robot 3600" } } });
  t.match(await request("robot", { expirationSeconds: 60 }), {
    code: 422,
    json: {
      message:
        'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
    },
  });
  t.match(await request("none", {}), { code: 404 });
});

test("a field that is given twice", async (t) => {
  const { ask } = await start(t);
  const body = '{"metadata":{"name":"x"},"data":{"a":"1","a":"2"},"extra":1}';
  const post = (validation: string) => ask("POST", `${inDefault("configmaps")}?fieldValidation=${validation}`, body);
  t.match(await post("Strict"), {
    code: 400,
    json: {
      message:
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: duplicate field "data.a", unknown field "extra"',
    },
  });
  const warned = await post("Warn");
  t.match(warned, { code: 201, json: { data: { a: "2" } } });
  t.match(warned.headers["warning"], /duplicate field \\"data\.a\\".*unknown field \\"extra\\"/);
  const apply = await ask(
    "PATCH",
    `${inDefault("configmaps")}/y?fieldManager=m&fieldValidation=Strict`,
    '{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","a":"2"}}',
    {
      "content-type": "application/apply-patch+yaml",
    },
  );
  t.match(apply, { code: 400, json: { message: 'error strict decoding YAML: key "data.a" already set in map' } });
});

test("server-side apply over HTTP", async (t) => {
  const { ask } = await start(t);
  const type = { "content-type": "application/apply-patch+yaml", "user-agent": "tool/v1.2 (x)" };
  const path = `${inDefault("configmaps")}/y?fieldManager=m`;
  const yaml = "apiVersion: v1\nkind: ConfigMap\ndata: { a: '1' }\n";
  const made = await ask("PATCH", path, yaml, type);
  t.match(made, {
    code: 201,
    json: { metadata: { name: "y", managedFields: [{ manager: "m", operation: "Apply" }] } },
  });
  t.match(await ask("PATCH", path, yaml, type), {
    code: 200,
    json: { metadata: { resourceVersion: made.json.metadata.resourceVersion } },
  });
  const merge = { "content-type": "application/merge-patch+json", "user-agent": "tool/v1.2 (x)" };
  t.match(await ask("PATCH", `${inDefault("configmaps")}/y`, { data: { b: "2" } }, merge), {
    json: {
      metadata: {
        managedFields: [
          { manager: "m" },
          { manager: "tool", operation: "Update", fieldsV1: { "f:data": { "f:b": {} } } },
        ],
      },
    },
  });
  t.match(await ask("PATCH", `${path}&force=true`, {}, merge), {
    code: 422,
    json: {
      message: 'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    },
  });
});

test("events under the names of events.k8s.io", async (t) => {
  const { ask } = await start(t);
  const newer = "/apis/events.k8s.io/v1/namespaces/default/events";
  const regarding = { kind: "Pod", name: "web", namespace: "default" };
  const event = {
    metadata: { name: "e", namespace: "default" },
    eventTime: "2026-01-01T00:00:00.000000Z",
    regarding,
    note: "why",
    reportingController: "me",
    reason: "Why",
    type: "Normal",
  };
  t.match(await ask("POST", newer, event), {
    code: 201,
    json: { apiVersion: "events.k8s.io/v1", regarding, note: "why" },
  });
  t.match(await ask("GET", `${inDefault("events")}/e`), {
    json: { apiVersion: "v1", involvedObject: regarding, message: "why", reportingComponent: "me" },
  });
  t.match((await ask("GET", `${newer}?fieldSelector=regarding.name=web`)).json, {
    apiVersion: "events.k8s.io/v1",
    kind: "EventList",
    items: [{ note: "why" }],
  });
  t.same((await ask("GET", `${newer}?fieldSelector=regarding.name=other`)).json.items, []);
  const patch = await ask(
    "PATCH",
    `${newer}/e`,
    { note: "because" },
    { "content-type": "application/merge-patch+json" },
  );
  t.match(patch, { code: 200, json: { note: "because", regarding } });
  t.match(await ask("DELETE", `${newer}/e`), { code: 200 });
  t.equal((await ask("GET", `${inDefault("events")}/e`)).code, 404);
});

test("a large answer is compressed for who can read that", async (t) => {
  const { ask } = await start(t);
  const plain = await ask("GET", "/openapi/v2");
  const zipped = await ask("GET", "/openapi/v2", undefined, { "accept-encoding": "br, gzip" });
  t.equal(plain.headers["content-encoding"], undefined);
  t.match(zipped.headers, { "content-encoding": "gzip", vary: "Accept, Accept-Encoding" });
  t.same(zipped.json, plain.json);
  t.ok(zipped.bytes.length * 4 < plain.bytes.length);
  for (const refused of ["identity", "gzip;q=0", "br"])
    t.equal(
      (await ask("GET", "/openapi/v2", undefined, { "accept-encoding": refused })).headers["content-encoding"],
      undefined,
      refused,
    );
  t.equal(
    (await ask("GET", "/api/v1", undefined, { "accept-encoding": "gzip" })).headers["content-encoding"],
    undefined,
    "a small one is not",
  );
});
