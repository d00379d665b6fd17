/** What `kn` sends (serving-api 6.1, 6.2), replayed without it: the same paths, bodies, watches and reading of answers. */
import { readFileSync } from "node:fs";
import { test } from "tap";
import { Agent, fetch } from "undici";
import { parse } from "yaml";
import { jsonLines } from "../../kube/json-lines.ts";
import { command, Cluster, has } from "./cluster.ts";

interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
}
interface Target {
  latestRevision?: boolean;
  revisionName?: string;
  percent?: number;
  tag?: string;
}
interface Stored {
  kind: string;
  metadata: {
    name: string;
    resourceVersion: string;
    generation: number;
    annotations?: Record<string, string>;
    labels?: Record<string, string>;
  };
  spec: { template: { metadata: object; spec: object }; traffic: Target[] };
  status?: {
    observedGeneration?: number;
    conditions?: Condition[];
    url?: string;
    latestReadyRevisionName?: string;
    traffic?: Target[];
  };
}
interface Answer {
  code: number;
  object: Stored & { items: Stored[]; message: string; reason: string; details?: { group?: string; name?: string } };
}

const serving = "/apis/serving.knative.dev/v1";
const services = `${serving}/namespaces/default/services`;
const revisions = `${serving}/namespaces/default/revisions`;
const domains = "/apis/serving.knative.dev/v1beta1/namespaces/default/domainmappings";
const dayMs = 24 * 3600_000;
let clockMs = Date.parse("2026-01-01T00:00:00Z");

/** A Service as the typed client writes it: empty parts and null times are there. */
function service(name: string, env: Record<string, string>): object {
  clockMs += dayMs; // makes each a new Revision
  return {
    kind: "Service",
    apiVersion: "serving.knative.dev/v1",
    metadata: { name, namespace: "default", creationTimestamp: null },
    spec: {
      template: {
        metadata: {
          creationTimestamp: null,
          annotations: {
            "client.knative.dev/updateTimestamp": new Date(clockMs).toISOString(),
            "client.knative.dev/user-image": "dev.local/hello",
          },
        },
        spec: {
          containers: [
            {
              name: "",
              image: "dev.local/hello",
              env: Object.entries(env).map(([key, value]) => ({ name: key, value })),
              resources: {},
            },
          ],
        },
      },
    },
    status: {},
  };
}

interface Client {
  call(method: string, path: string, body?: object, type?: string): Promise<Answer>;
  /** `kn`'s wait: only MODIFIED events of the present generation count. Resolves with the Ready messages it printed. */
  waitReady(first: Stored): Promise<{ is: "True" | "False"; messages: string[] }>;
  watch(query: string, signal: AbortSignal): AsyncIterable<{ type: string; object: Stored }>;
}

interface Kubeconfig {
  clusters: { cluster: { server: string; "certificate-authority-data": string } }[];
  users: { user: { token: string } }[];
}

function clientOf(file: string): Client {
  const { clusters, users } = parse(readFileSync(file, "utf8")) as Kubeconfig;
  const { server, "certificate-authority-data": ca } = clusters[0]!.cluster;
  const dispatcher = new Agent({ connect: { ca: Buffer.from(ca, "base64").toString() } });
  const headers = {
    authorization: `Bearer ${users[0]!.user.token}`,
    "user-agent": "kn/v0.0.0 (linux/amd64) kubernetes/$Format",
    accept: "application/json, */*",
  };
  const watch: Client["watch"] = async function* (query, signal) {
    const response = await fetch(`${server}${services}?${query}&watch=true`, { dispatcher, headers, signal });
    if (response.body === null) return;
    for await (const event of jsonLines(response.body)) yield event as { type: string; object: Stored };
  };
  return {
    watch,
    async call(method, path, body, type = "application/json") {
      const response = await fetch(`${server}${path}`, {
        dispatcher,
        method,
        headers: body === undefined ? headers : { ...headers, "content-type": type },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(15_000),
      });
      return { code: response.status, object: (await response.json()) as Answer["object"] };
    },
    async waitReady({ metadata: { name, resourceVersion } }) {
      const signal = AbortSignal.timeout(15_000);
      const messages: string[] = [];
      const query = `fieldSelector=metadata.name%3D${name}&resourceVersion=${resourceVersion}&timeoutSeconds=630`;
      for await (const { type, object } of watch(query, signal)) {
        if (type !== "MODIFIED" || object.status?.observedGeneration !== object.metadata.generation) continue;
        const ready = object.status.conditions?.find((condition) => condition.type === "Ready");
        if (ready?.message) messages.push(ready.message);
        if (ready?.status === "True" || ready?.status === "False") return { is: ready.status, messages };
      }
      throw new Error(`the watch of ${name} ended: ${JSON.stringify(messages)}`);
    },
  };
}

if (!has("kubectl")) {
  test("kn", { skip: "kubectl is not on PATH" }, (t) => t.end());
} else {
  await using cluster = new Cluster();
  const { kubeconfig } = await cluster.start("--no-sample");
  await replay(clientOf(kubeconfig), kubeconfig);
}

async function replay(kn: Client, kubeconfig: string): Promise<void> {
  let stored: Stored;

  await test("service create: 404, POST, wait, URL", async (t) => {
    const missing = await kn.call("GET", `${services}/one`);
    t.match(missing, {
      code: 404,
      object: {
        kind: "Status",
        reason: "NotFound",
        message: 'services.serving.knative.dev "one" not found',
        details: { group: "serving.knative.dev", name: "one" },
      },
    });
    const created = await kn.call("POST", services, service("one", { TARGET: "a" }));
    t.equal(created.code, 201);
    t.equal((await kn.call("POST", services, service("one", {}))).object.reason, "AlreadyExists");
    // From the version of the answer, so everything after it is an event that changes what was there.
    const { is, messages } = await kn.waitReady(created.object);
    t.equal(is, "True", messages.join("; "));
    t.ok(messages.length > 0, "there is progress to print");
    stored = (await kn.call("GET", `${services}/one`)).object;
    t.match(stored.status, { url: /^http:\/\/one\.default\.localhost/, latestReadyRevisionName: "one-00001" });
    t.match(stored.spec.traffic, [{ latestRevision: true, percent: 100 }]);
    t.ok(stored.status?.traffic?.every((target) => target.percent !== undefined && "latestRevision" in target));
  });

  await test("service update: traffic and tags, a PUT that names its version", async (t) => {
    const listed = await kn.call("GET", `${revisions}?labelSelector=serving.knative.dev%2Fservice%3Done`);
    t.same(
      listed.object.items.map(({ metadata }) => metadata.name),
      ["one-00001"],
    );
    t.ok(listed.object.items[0]?.metadata.annotations, "kn writes into them");
    t.match(listed.object.items[0]?.metadata.labels?.["serving.knative.dev/configurationGeneration"], /^\d+$/);
    const { spec } = service("one", { TARGET: "b" }) as Stored;
    const traffic: Target[] = [
      { latestRevision: true, percent: 80 },
      { latestRevision: false, revisionName: "one-00001", percent: 20, tag: "old" },
    ];
    const next = { ...stored, spec: { ...spec, traffic } };
    const put = await kn.call("PUT", `${services}/one`, next);
    t.match(put, { code: 200, object: { metadata: { generation: 2 } } });
    t.match(await kn.call("PUT", `${services}/one`, next), { code: 409, object: { reason: "Conflict" } });
    t.equal((await kn.waitReady(put.object)).is, "True");
    stored = (await kn.call("GET", `${services}/one`)).object;
    t.match(stored.status, {
      latestReadyRevisionName: "one-00002",
      traffic: [
        { revisionName: "one-00002", latestRevision: true, percent: 80 },
        { revisionName: "one-00001", latestRevision: false, percent: 20, tag: "old" },
      ],
    });
  });

  await test("a PUT of what was read makes no new revision", async (t) => {
    const { template } = stored.spec;
    const same = {
      ...stored,
      spec: { ...stored.spec, template: { ...template, metadata: { ...template.metadata, creationTimestamp: null } } },
    };
    t.equal((await kn.call("PUT", `${services}/one`, same)).object.metadata.generation, stored.metadata.generation);
  });

  await test("service apply: a merge patch; unchanged is seen by its generation", async (t) => {
    const patch = { metadata: { annotations: { "kubectl.kubernetes.io/last-applied-configuration": "{}" } }, spec: {} };
    const merge = "application/merge-patch+json";
    const { object } = await kn.call("PATCH", `${services}/one`, patch, merge);
    t.equal(object.metadata.generation, object.status?.observedGeneration, "nothing changed");
  });

  await test("a refusal in the webhook's words", async (t) => {
    const bad = service("bad", {}) as { spec: { template: { metadata: { annotations: Record<string, string> } } } };
    bad.spec.template.metadata.annotations["autoscaling.knative.dev/min-scale"] = "abc";
    t.match(await kn.call("POST", services, bad), {
      code: 400,
      object: {
        message: /^admission webhook "validation.webhook.serving.knative.dev" denied the request: validation /,
      },
    });
  });

  await test("domain create, list and delete; the target is read first", async (t) => {
    t.match((await kn.call("GET", `${services}/one`)).object, { kind: "Service" });
    const metadata = { name: "one.example.com", namespace: "default" };
    const ref = { kind: "Service", name: "one", namespace: "default", apiVersion: "serving.knative.dev/v1" };
    const mapping = { kind: "DomainMapping", apiVersion: "serving.knative.dev/v1beta1", metadata, spec: { ref } };
    t.equal((await kn.call("POST", domains, mapping)).code, 201);
    t.match((await kn.call("GET", domains)).object.items, [{ spec: { ref: { name: "one" } } }]);
    t.equal((await kn.call("DELETE", `${domains}/one.example.com`)).code, 200);
  });

  await test("lists by name and of all namespaces", async (t) => {
    const byName = await kn.call("GET", `${services}?fieldSelector=metadata.name%3Done`);
    t.equal(byName.object.items.length, 1);
    t.equal((await kn.call("GET", `${serving}/services`)).object.items.length, 1);
    t.match((await kn.call("GET", `${serving}/namespaces/default/routes/one`)).object, { status: { url: /^http/ } });
  });

  await test("service delete --wait: a foreground delete ends in a DELETED event", async (t) => {
    const over = new AbortController();
    const watch = kn.watch("fieldSelector=metadata.name%3Done&timeoutSeconds=30", over.signal);
    const events = watch[Symbol.asyncIterator]();
    t.equal((await events.next()).value?.type, "ADDED");
    const options = { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Foreground" };
    t.equal((await kn.call("DELETE", `${services}/one`, options)).code, 200);
    let last = "";
    while (last !== "DELETED") last = (await events.next()).value?.type ?? "DELETED (the watch ended)";
    t.equal(last, "DELETED");
    over.abort();
    t.same((await kn.call("GET", revisions)).object.items, [], "what it owned went first");
  });

  await test("the real kn", { skip: has("kn") ? false : "kn is not on PATH" }, async (t) => {
    const run = (...args: string[]) => command("kn", [...args, "--kubeconfig", kubeconfig]);
    t.match(await run("service", "create", "two", "--image", "dev.local/hello"), {
      code: 0,
      stdout: /Ready to serve\.\n\nService 'two' created to latest revision 'two-00001' is available at URL:\nhttp:/,
    });
    t.match(await run("service", "describe", "two"), { code: 0, stdout: /100% {2}@latest \(two-00001\) \[1\]/ });
    t.match(await run("service", "update", "two", "--env", "A=B", "--tag", "two-00001=old"), { code: 0 });
    t.match(await run("revision", "list", "-s", "two"), { code: 0, stdout: /two-00001 +two +old/ });
    t.match(await run("service", "delete", "two", "--wait"), { code: 0 });
  });
}
