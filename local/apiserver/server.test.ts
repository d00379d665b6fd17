import { once } from "node:events";
import https from "node:https";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { test, type Test } from "tap";
import { pods, type Pod } from "../../api/core.ts";
import { ApiError } from "../../kube/client.ts";
import { httpsClient } from "../../kube/https-client.ts";
import { createInformer } from "../../kube/informer.ts";
import { silentLogger } from "../../process/logger.ts";
import { gadget, gadgetCrd, gadgets, servingPair, type Gadget } from "./rest-fixture.ts";
import { startApiServer, type ApiServer } from "./server.ts";

interface Answer {
  code: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: () => any; // oxlint-disable-line typescript/no-explicit-any -- tests look into answers of every shape
}

interface World {
  server: ApiServer;
  ca: string;
  url: string;
  ask: (
    method: string,
    path: string,
    options?: { headers?: Record<string, string>; body?: string | Buffer; token?: string },
  ) => Promise<Answer>;
}

async function start(t: Test): Promise<World> {
  const { ca, cert, key } = await servingPair();
  const server = await startApiServer({
    file: ":memory:",
    addresses: [{ host: "127.0.0.1", port: 0 }],
    tls: { key, cert },
    authenticate: (bearer) => (bearer === "secret" ? { username: "tester", groups: ["testers"] } : undefined),
    log: silentLogger,
  });
  t.teardown(() => server.close());
  const url = `https://127.0.0.1:${server.ports[0]}`;
  return {
    server,
    ca,
    url,
    async ask(method, path, { headers = {}, body, token = "secret" } = {}) {
      const authorization = token === "" ? {} : { authorization: `Bearer ${token}` };
      const request = https.request(`${url}${path}`, {
        method,
        ca,
        agent: false,
        headers: { ...authorization, ...headers },
      });
      request.end(body);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      let text = "";
      for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
      return {
        code: response.statusCode ?? 0,
        headers: response.headers,
        text,
        json: () => JSON.parse(text) as unknown,
      };
    },
  };
}

const json = { "content-type": "application/json" };
const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const inDefault = "/apis/example.com/v1/namespaces/default/gadgets";

test("who has no token learns nothing but that the server is well", async (t) => {
  const { ask } = await start(t);
  for (const token of ["", "wrong"]) {
    const answer = await ask("GET", "/api/v1/secrets", { token });
    t.equal(answer.code, 401);
    t.match(answer.json(), { kind: "Status", status: "Failure", reason: "Unauthorized", code: 401 });
  }
  t.equal((await ask("GET", "/openapi/v2", { token: "" })).code, 401);
  t.equal((await ask("GET", "/readyz", { token: "" })).text, "ok");
  t.match((await ask("GET", "/version", { token: "" })).json(), { major: "1", minor: "34" });
});

test("discovery tells the same in every form", async (t) => {
  const { ask } = await start(t);
  await ask("POST", crds, { headers: json, body: JSON.stringify(gadgetCrd) });
  const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
  const all = await ask("GET", "/apis", { headers: { accept: aggregated } });
  t.equal(all.headers["content-type"], "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
  const group = all.json().items.find((item: { metadata: { name: string } }) => item.metadata.name === "example.com");
  t.match(group.versions[0].resources, [
    {
      resource: "gadgets",
      scope: "Namespaced",
      singularResource: "gadget",
      shortNames: ["gd"],
      categories: ["all"],
      responseKind: { group: "example.com", version: "v1", kind: "Gadget" },
      subresources: [
        { subresource: "scale", responseKind: { group: "autoscaling", kind: "Scale" } },
        { subresource: "status" },
      ],
    },
  ]);
  t.ok((await ask("GET", "/apis")).json().groups.some((item: { name: string }) => item.name === "example.com"));
  t.match((await ask("GET", "/apis/example.com")).json(), { preferredVersion: { groupVersion: "example.com/v1" } });
  t.same(
    (await ask("GET", "/apis/example.com/v1")).json().resources.map((one: { name: string }) => one.name),
    ["gadgets", "gadgets/scale", "gadgets/status"],
  );
  t.same((await ask("GET", "/api")).json().versions, ["v1"]);
  t.ok((await ask("GET", "/api/v1")).json().resources.some((one: { name: string }) => one.name === "pods/log"));
  t.match((await ask("GET", "/openapi/v3")).json().paths["apis/example.com/v1"], {
    serverRelativeURL: /^\/openapi\/v3\/apis\/example.com\/v1/,
  });
  t.equal((await ask("GET", "/openapi/v3/apis/example.com/v1")).code, 200);
  t.equal((await ask("GET", "/apis/none.example.com/v1")).code, 404);
  t.equal((await ask("DELETE", "/apis")).code, 405);
});

test("bodies, fields, shapes", async (t) => {
  const { ask } = await start(t);
  await ask("POST", crds, { headers: json, body: JSON.stringify(gadgetCrd) });

  const yaml = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: a}\nspec: {size: 3, wheels: 4}\n";
  const strict = await ask("POST", `${inDefault}?fieldValidation=Strict`, {
    headers: { "content-type": "application/yaml" },
    body: yaml,
  });
  t.match(strict.json(), {
    code: 400,
    reason: "BadRequest",
    message: 'Gadget in version "v1" cannot be handled as a Gadget: strict decoding error: unknown field "spec.wheels"',
  });
  const warned = await ask("POST", inDefault, { headers: { "content-type": "application/yaml" }, body: yaml });
  t.equal(warned.code, 201);
  t.equal(warned.headers["warning"], '299 - "unknown field \\"spec.wheels\\""');
  t.same(warned.json().spec, { size: 3, color: "red" });

  const asTable = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
  t.match((await ask("GET", inDefault, { headers: { accept: asTable } })).json(), {
    kind: "Table",
    columnDefinitions: [{ name: "Name" }, { name: "Size", type: "integer" }],
    rows: [{ cells: ["a", 3], object: { kind: "PartialObjectMetadata", metadata: { name: "a" } } }],
  });
  const whole = await ask("GET", `${inDefault}/a?includeObject=Object`, { headers: { accept: asTable } });
  t.match(whole.json().rows, [{ object: { kind: "Gadget", spec: { size: 3 } } }]);
  const metadataOnly = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
  t.match((await ask("GET", inDefault, { headers: { accept: metadataOnly } })).json(), {
    kind: "PartialObjectMetadataList",
    items: [{ metadata: { name: "a" } }],
  });
  t.equal((await ask("GET", inDefault, { headers: { accept: "application/vnd.kubernetes.protobuf" } })).code, 406);
  t.equal((await ask("POST", inDefault, { headers: { "content-type": "text/html" }, body: "<a>" })).code, 415);
  t.match((await ask("POST", inDefault, { headers: json, body: "{" })).json(), { code: 400, reason: "BadRequest" });
  t.match((await ask("POST", inDefault, { headers: json, body: " ".repeat(3 * 1024 * 1024 + 1) })).json(), {
    code: 413,
  });
  t.match((await ask("GET", `${inDefault}/none`)).json(), {
    message: 'gadgets.example.com "none" not found',
    details: { name: "none", group: "example.com", kind: "gadgets" },
  });
  t.match((await ask("DELETE", `${inDefault}/a`)).json(), {
    kind: "Status",
    status: "Success",
    details: { name: "a", kind: "gadgets" },
  });
});

test("a protobuf body is an object like any other", async (t) => {
  const { ask } = await start(t);
  const field = (number: number, bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes]);
  const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));
  const namespace = field(1, text(1, "proto"));
  const envelope = Buffer.concat([field(1, Buffer.concat([text(1, "v1"), text(2, "Namespace")])), field(2, namespace)]);
  const body = Buffer.concat([Buffer.from("k8s\0"), envelope]);
  const headers = {
    "content-type": "application/vnd.kubernetes.protobuf",
    accept: "application/vnd.kubernetes.protobuf,application/json",
  };
  const answer = await ask("POST", "/api/v1/namespaces", { headers, body });
  t.match(answer.json(), { kind: "Namespace", metadata: { name: "proto" }, status: { phase: "Active" } });
});

test("an informer over the wire sees what a controller in the process writes", async (t) => {
  const { server, url, ca, ask } = await start(t);
  await ask("POST", crds, { headers: json, body: JSON.stringify(gadgetCrd) });
  const client = httpsClient({ server: url, ca, token: () => "secret", userAgent: "test" });
  const stop = new AbortController();
  const informer = createInformer<Gadget>({ client, resource: gadgets, log: silentLogger });
  const running = informer.run(stop.signal);
  t.teardown(async () => {
    stop.abort();
    await running;
    await client.close();
  });
  await informer.synced();
  const changed = (is: string): Promise<void> =>
    new Promise((resolve) => {
      informer.onChange((change) => change.is === is && resolve());
    });
  await server.client.create(gadgets, gadget("a"));
  await changed("added");
  const updated = changed("updated");
  await client.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size: 9 } } });
  await updated;
  t.equal(informer.get("default/a")?.spec.size, 9);
  await server.client.delete(gadgets, "a", "default");
  await changed("deleted");
  t.same(informer.list(), []);
  await t.rejects(client.get(gadgets, "a", "default"), { code: 404 });
});

test("a watch over the wire replays, tells versions and ends in time", async (t) => {
  const { server, ask } = await start(t);
  await ask("POST", crds, { headers: json, body: JSON.stringify(gadgetCrd) });
  const { metadata } = await server.client.create(gadgets, gadget("a"));
  await server.client.create(gadgets, gadget("b"));
  const from = `${inDefault}?watch=1&resourceVersion=${metadata.resourceVersion}`;
  const lines = (await ask("GET", `${from}&timeoutSeconds=1&allowWatchBookmarks=true`)).text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  t.match(lines, [
    { type: "ADDED", object: { kind: "Gadget", metadata: { name: "b" } } },
    {
      type: "BOOKMARK",
      object: { apiVersion: "example.com/v1", kind: "Gadget", metadata: { resourceVersion: /^\d+$/ } },
    },
  ]);
  t.equal(lines.length, 2);
  const table = await ask("GET", `${from}&timeoutSeconds=1`, {
    headers: { accept: "application/json;as=Table;v=v1;g=meta.k8s.io" },
  });
  t.match(JSON.parse(table.text.trim()), { type: "ADDED", object: { kind: "Table", rows: [{ cells: ["b", 1] }] } });
  const tooNew = await ask("GET", `${inDefault}?watch=1&resourceVersion=99999`);
  t.match(tooNew.json(), { code: 410, reason: "Expired" });
});

test("logs come from the node, of the container that is meant", async (t) => {
  const { server, ask } = await start(t);
  const pod: Pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "default" },
    spec: {
      containers: [
        { name: "one", image: "i" },
        { name: "two", image: "i" },
      ],
    },
  };
  await server.client.create(pods, pod);
  const log = "/api/v1/namespaces/default/pods/p/log";
  t.match((await ask("GET", `${log}?container=one`)).json(), { code: 503 });
  server.setPodBackend({
    async *logs({ metadata }, container, options) {
      if (options.previous)
        throw new ApiError({ ...(await ask("GET", "/none")).json(), code: 400, message: "no previous run" });
      yield Buffer.from(`${metadata.name}/${container} ${options.tailLines} ${options.follow}\n`);
    },
  });
  t.equal((await ask("GET", `${log}?container=two&tailLines=5&follow=true`)).text, "p/two 5 true\n");
  t.match((await ask("GET", log)).json(), {
    code: 400,
    message: "a container name must be specified for pod p, choose one of: [one two]",
  });
  t.match((await ask("GET", `${log}?container=three`)).json(), { message: "container three is not valid for pod p" });
  t.match((await ask("GET", `${log}?container=one&previous=true`)).json(), { code: 400, message: "no previous run" });
});

test("who may do what is asked of one place", async (t) => {
  const { ask } = await start(t);
  const who = await ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", { headers: json, body: "{}" });
  t.match(who.json(), { kind: "SelfSubjectReview", status: { userInfo: { username: "tester" } } });
  const body = JSON.stringify({ spec: { resourceAttributes: { verb: "get", resource: "pods" } } });
  t.match(
    (await ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", { headers: json, body })).json(),
    { status: { allowed: true } },
  );
});
