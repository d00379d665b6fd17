import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { test, type Test } from "tap";
import {
  configMaps,
  endpoints,
  mutatingWebhookConfigurations,
  services,
  validatingWebhookConfigurations,
} from "../../api/core.ts";
import type { KubeObject } from "../../api/meta.ts";
import type { KubeClient } from "../../kube/client.ts";
import { inProcessClient } from "./in-process-client.ts";
import { gadget, gadgets, restWithGadgets, servingPair, type Gadget } from "./rest-fixture.ts";

interface Review {
  request: {
    uid: string;
    operation: string;
    subResource?: string;
    object: Gadget | null;
    oldObject: Gadget | null;
    dryRun: boolean;
    userInfo: { username: string };
  };
}
type Answer = { allowed: boolean; patch?: object[]; warnings?: string[]; status?: object };

/** A webhook behind a Service named `hook`, as the components' own is. */
async function webhook(
  t: Test,
  client: KubeClient,
  answer: (review: Review["request"]) => Answer | "hang" | "break",
): Promise<{ caBundle: string }> {
  const { ca, cert, key } = await servingPair();
  const server = createServer({ key, cert }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { request: asked } = JSON.parse(Buffer.concat(chunks).toString()) as Review;
      const answered = answer(asked);
      if (answered === "hang") return;
      if (answered === "break") {
        request.socket.destroy();
        return;
      }
      const { patch, ...rest } = answered;
      const encoded =
        patch === undefined
          ? {}
          : { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
      response.end(
        JSON.stringify({
          apiVersion: "admission.k8s.io/v1",
          kind: "AdmissionReview",
          response: { uid: asked.uid, ...rest, ...encoded },
        }),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const metadata = { name: "kubernetes", namespace: "default" };
  await client.create(services, {
    apiVersion: "v1",
    kind: "Service",
    metadata,
    spec: { ports: [{ port: 443, targetPort: 8443 }] },
  } as KubeObject);
  const { port } = server.address() as AddressInfo;
  const subsets = [{ addresses: [{ ip: "127.0.0.1" }], ports: [{ port }] }];
  await client.create(endpoints, { apiVersion: "v1", kind: "Endpoints", metadata, subsets } as KubeObject);
  return { caBundle: Buffer.from(ca).toString("base64") };
}

const configure = (
  client: KubeClient,
  is: "Mutating" | "Validating",
  caBundle: string,
  more: object = {},
): Promise<KubeObject> =>
  client.create(is === "Mutating" ? mutatingWebhookConfigurations : validatingWebhookConfigurations, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: `${is}WebhookConfiguration`,
    metadata: { name: `${is.toLowerCase()}.example.com` },
    webhooks: [
      {
        name: `${is.toLowerCase()}.example.com`,
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        timeoutSeconds: 5,
        clientConfig: { service: { name: "kubernetes", namespace: "default", path: "/review" }, caBundle },
        rules: [
          {
            apiGroups: ["example.com"],
            apiVersions: ["*"],
            resources: ["gadgets", "gadgets/status"],
            operations: ["CREATE", "UPDATE", "DELETE"],
          },
        ],
        ...more,
      },
    ],
  } as KubeObject);

test("a mutating webhook changes what is stored", async (t) => {
  const { client } = await restWithGadgets(t);
  const seen: string[] = [];
  const { caBundle } = await webhook(
    t,
    client,
    ({ operation, subResource = "", object, oldObject, dryRun, userInfo }) => {
      seen.push(
        `${operation}${subResource} ${object?.spec.size} ${oldObject?.spec.size} ${dryRun} ${userInfo.username}`,
      );
      return {
        allowed: true,
        patch: [
          { op: "add", path: "/spec/color", value: "blue" },
          { op: "add", path: "/spec/unknown", value: 1 },
        ],
      };
    },
  );
  await configure(client, "Mutating", caBundle);
  const made = await client.create(gadgets, gadget("a"));
  t.same(made.spec, { size: 1, color: "blue" }, "and is held to the schema");
  await client.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size: 2 } } }, { dryRun: true });
  await client.patch(
    gadgets,
    "a",
    "default",
    { is: "merge", body: { status: { ready: true } } },
    { subresource: "status" },
  );
  await client.create(configMaps, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "x", namespace: "default" },
  });
  await client.delete(gadgets, "a", "default");
  t.same(seen, [
    "CREATE 1 undefined false tester",
    "UPDATE 2 1 true tester",
    "UPDATEstatus 1 1 false tester",
    "DELETE undefined 1 false tester",
  ]);
});

test("a validating webhook refuses in its own words", async (t) => {
  const { client } = await restWithGadgets(t);
  const answers: Answer[] = [
    { allowed: false, status: { message: "validation failed: no", reason: "BadRequest", code: 400 } },
    { allowed: false },
    { allowed: true },
  ];
  const { caBundle } = await webhook(t, client, () => answers.shift()!);
  await configure(client, "Validating", caBundle);
  await t.rejects(client.create(gadgets, gadget("a")), {
    code: 400,
    reason: "BadRequest",
    message: 'admission webhook "validating.example.com" denied the request: validation failed: no',
  });
  await t.rejects(client.create(gadgets, gadget("a")), {
    code: 400,
    message: 'admission webhook "validating.example.com" denied the request without explanation',
  });
  await client.create(gadgets, gadget("a"));
});

test("the installer asks no webhook: the pods that answer come after what it writes", async (t) => {
  const { rest, client } = await restWithGadgets(t);
  await configure(client, "Mutating", "");
  await configure(client, "Validating", "");
  await t.rejects(client.create(gadgets, gadget("a")), { message: /failed calling webhook/ });
  const installer = inProcessClient(rest, { username: "installer", groups: ["system:masters"] }, { unasked: true });
  await installer.create(gadgets, gadget("a"));
  await installer.patch(gadgets, "a", "default", { is: "merge", body: { spec: { size: 2 } } });
  t.match(await client.get(gadgets, "a", "default"), { spec: { size: 2 } });
});

test("a webhook that cannot be asked", async (t) => {
  const { client } = await restWithGadgets(t);
  const { caBundle } = await webhook(t, client, () => "hang");
  await t.test("stops the write, when its policy is Fail", async (t) => {
    await configure(client, "Validating", caBundle, { timeoutSeconds: 1 });
    await t.rejects(client.create(gadgets, gadget("a")), {
      code: 500,
      message:
        'Internal error occurred: failed calling webhook "validating.example.com": failed to call webhook: Post "https://kubernetes.default.svc:443/review?timeout=1s": context deadline exceeded',
    });
    await client.delete(endpoints, "kubernetes", "default");
    await t.rejects(client.create(gadgets, gadget("a")), {
      code: 500,
      message: /no endpoints available for service "kubernetes"/,
    });
  });
  await t.test("does not, when its policy is Ignore", async () => {
    await client.delete(validatingWebhookConfigurations, "validating.example.com");
    await configure(client, "Validating", caBundle, { failurePolicy: "Ignore" });
    await client.create(gadgets, gadget("b"));
  });
  await t.test("is not asked about what its rules and selectors leave out", async () => {
    await client.delete(validatingWebhookConfigurations, "validating.example.com");
    await configure(client, "Validating", caBundle, {
      objectSelector: { matchLabels: { check: "me" } },
      namespaceSelector: {
        matchExpressions: [{ key: "kubernetes.io/metadata.name", operator: "In", values: ["default"] }],
      },
    });
    await client.create(gadgets, gadget("c"));
    await client.create(gadgets, gadget("c", { namespace: "kube-system", labels: { check: "me" } }));
    await t.rejects(client.create(gadgets, gadget("d", { labels: { check: "me" } })), { code: 500 });

    await client.delete(validatingWebhookConfigurations, "validating.example.com");
    await configure(client, "Validating", caBundle, {
      rules: [{ apiGroups: ["*"], apiVersions: ["v1"], resources: ["gadgets"], operations: ["UPDATE"] }],
    });
    await client.create(gadgets, gadget("e"));
    const ready = { is: "merge", body: { status: { ready: true } } } as const;
    await client.patch(gadgets, "e", "default", ready, { subresource: "status" });
    await t.rejects(client.patch(gadgets, "e", "default", { is: "merge", body: { spec: { size: 2 } } }), { code: 500 });
  });
});

test("a connection that the webhook closes between two questions costs no write", async (t) => {
  const { client } = await restWithGadgets(t);
  let broken = 0;
  const { caBundle } = await webhook(t, client, () => (broken++ === 1 ? "break" : { allowed: true }));
  await configure(client, "Validating", caBundle);
  await client.create(gadgets, gadget("a"));
  await client.create(gadgets, gadget("b"));
  t.equal(broken, 3, "the second question was asked twice");
});

test("two writers never overwrite each other, though webhooks take time", async (t) => {
  const { client } = await restWithGadgets(t);
  const { caBundle } = await webhook(t, client, () => ({ allowed: true }));
  await configure(client, "Validating", caBundle);
  await client.create(gadgets, { ...gadget("a"), spec: { size: 1, replicas: 0 } });
  const keys = ["one", "two", "three"];
  await Promise.all(
    keys.map((key) =>
      client.patch(gadgets, "a", "default", { is: "merge", body: { metadata: { labels: { [key]: "1" } } } }),
    ),
  );
  t.same(Object.keys((await client.get(gadgets, "a", "default")).metadata.labels!).sort(), keys.toSorted());
});
