import { test } from "tap";
import { mutatingWebhookConfigurations, validatingWebhookConfigurations } from "../../api/core.ts";
import type { KubeObject, Resource } from "../../api/meta.ts";
import { objectsIn } from "../table.ts";
import { failure, MemoryCluster } from "../memory-cluster.ts";
import { register } from "./registration.ts";
import path from "node:path";

const systemNamespace = "knative-serving";
const shipped = objectsIn(path.join(import.meta.dirname, "../../manifests/core/400-webhooks.yaml"));
const namespace: KubeObject = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: systemNamespace, uid: "uid-ns" },
};
const cluster = (): MemoryCluster => new MemoryCluster([namespace, ...structuredClone(shipped)]);

interface Webhook {
  name: string;
  clientConfig: { caBundle: string; service: { name: string; namespace: string; path: string } };
  rules: { apiGroups: string[]; operations: string[]; resources: string[]; scope: string }[];
  namespaceSelector?: object;
  objectSelector?: object;
  reinvocationPolicy?: string;
}
type Configuration = KubeObject & { webhooks: Webhook[] };
const three: readonly [Resource, string, string, string[]][] = [
  [mutatingWebhookConfigurations, "webhook.serving.knative.dev", "/defaulting", ["CREATE", "UPDATE"]],
  [
    validatingWebhookConfigurations,
    "validation.webhook.serving.knative.dev",
    "/resource-validation",
    ["CREATE", "UPDATE", "DELETE"],
  ],
  [validatingWebhookConfigurations, "config.webhook.serving.knative.dev", "/config-validation", ["CREATE", "UPDATE"]],
];
const configuration = (of: MemoryCluster, resource: Resource, name: string): Configuration =>
  of.find<Configuration>(resource, name)!;

test("what the manifests bring is completed: CA, path, rules, owner", async (t) => {
  const given = cluster();
  await register(given, { systemNamespace, ca: "a CA" });
  for (const [resource, name, path, operations] of three) {
    const { metadata, webhooks } = configuration(given, resource, name);
    const [webhook] = webhooks;
    t.equal(webhooks.length, 1, name);
    t.equal(webhook?.clientConfig.caBundle, Buffer.from("a CA").toString("base64"), name);
    t.match(webhook?.clientConfig.service, { name: "webhook", namespace: systemNamespace, path }, name);
    t.ok(
      webhook?.rules.every((rule) => rule.operations.join() === operations.join()),
      name,
    );
    t.match(metadata.ownerReferences, [{ kind: "Namespace", uid: "uid-ns", controller: false }], name);
  }
  const resources = configuration(given, ...(three[0]!.slice(0, 2) as [Resource, string])).webhooks[0]!;
  t.same(
    resources.rules.flatMap(({ resources }) => resources),
    [
      "services",
      "configurations",
      "routes",
      "revisions",
      "domainmappings",
      "podautoscalers",
      "metrics",
      "ingresses",
      "serverlessservices",
      "certificates",
    ],
    "the ten kinds, and not their statuses",
  );
  t.equal(resources.reinvocationPolicy, "IfNeeded");
  t.same(resources.namespaceSelector, {
    matchExpressions: [{ key: "webhooks.knative.dev/exclude", operator: "DoesNotExist" }],
  });
  const configMaps = configuration(given, validatingWebhookConfigurations, three[2]![1]).webhooks[0]!;
  t.ok(configMaps.objectSelector, "what the manifests say of which ConfigMaps stays");
});

test("nothing is written that stands there already; a new CA is", async (t) => {
  const given = cluster();
  await register(given, { systemNamespace, ca: "one" });
  t.equal(given.writes.length, 3);
  await register(given, { systemNamespace, ca: "one" });
  t.equal(given.writes.length, 3);
  await register(given, { systemNamespace, ca: "two" });
  t.equal(given.writes.length, 6);
});

test("webhooks that somebody added to a configuration stay as they are", async (t) => {
  const given = cluster();
  const [resource, name] = three[0]!;
  const added = { name: "mine", clientConfig: { url: "https://elsewhere" } };
  configuration(given, resource, name).webhooks.push(added as never);
  await register(given, { systemNamespace, ca: "one" });
  t.same(configuration(given, resource, name).webhooks[1], added);
});

test("another replica may write at the same time", async (t) => {
  const given = cluster();
  let conflicts = 5;
  given.refuse = () => (conflicts-- > 0 ? failure(409, "Conflict", "the object has been modified") : undefined);
  await register(given, { systemNamespace, ca: "one" });
  t.equal(given.writes.length, 3);

  const stubborn = cluster();
  let asked = 0;
  stubborn.refuse = () => {
    asked += 1;
    return failure(409, "Conflict", "the object has been modified");
  };
  await t.rejects(register(stubborn, { systemNamespace, ca: "one" }), { message: "the object has been modified" });
  t.equal(asked, 6, "but not for ever");
});

test("a configuration that is gone is an error: it is part of the manifests", async (t) => {
  const given = new MemoryCluster([namespace]);
  await t.rejects(register(given, { systemNamespace, ca: "one" }), { code: 404 });
});
