/** What the API server is told to ask the webhook about (spec: serving-api 3.5). */
import { mutatingWebhookConfigurations, namespaces, validatingWebhookConfigurations } from "../../api/core.ts";
import { sameValue } from "../../api/equality.ts";
import type { KubeObject, OwnerReference, Resource } from "../../api/meta.ts";
import { isConflict, type KubeClient } from "../../kube/client.ts";

interface Rule {
  apiGroups: string[];
  apiVersions: string[];
  operations: string[];
  resources: string[];
  scope: string;
}

interface Webhook {
  name: string;
  clientConfig: { caBundle?: string; service?: { name: string; namespace: string; path?: string; port?: number } };
  rules?: Rule[];
  [field: string]: unknown;
}

interface WebhookConfiguration extends KubeObject {
  webhooks?: Webhook[];
}

interface Registration {
  resource: Resource;
  name: string;
  path: string;
  rules: Rule[];
  extra: Record<string, unknown>;
}

const kinds: readonly (readonly [group: string, version: string, plurals: string[]])[] = [
  ["serving.knative.dev", "v1", ["services", "configurations", "routes", "revisions"]],
  ["serving.knative.dev", "v1beta1", ["domainmappings"]],
  ["autoscaling.internal.knative.dev", "v1alpha1", ["podautoscalers", "metrics"]],
  ["networking.internal.knative.dev", "v1alpha1", ["ingresses", "serverlessservices", "certificates"]],
];

const kindRules = (operations: string[]): Rule[] =>
  kinds.map(([group, version, plurals]) => ({
    apiGroups: [group],
    apiVersions: [version],
    operations,
    // Without their statuses: defaults and rules leave those alone, and controllers write them all the time.
    resources: plurals,
    scope: "*",
  }));

const notExcluded = { matchExpressions: [{ key: "webhooks.knative.dev/exclude", operator: "DoesNotExist" }] };

const registrations: readonly Registration[] = [
  {
    resource: mutatingWebhookConfigurations,
    name: "webhook.serving.knative.dev",
    path: "/defaulting",
    rules: kindRules(["CREATE", "UPDATE"]),
    extra: { namespaceSelector: notExcluded, reinvocationPolicy: "IfNeeded" },
  },
  {
    resource: validatingWebhookConfigurations,
    name: "validation.webhook.serving.knative.dev",
    path: "/resource-validation",
    rules: kindRules(["CREATE", "UPDATE", "DELETE"]),
    extra: { namespaceSelector: notExcluded },
  },
  {
    resource: validatingWebhookConfigurations,
    name: "config.webhook.serving.knative.dev",
    path: "/config-validation",
    rules: [
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        operations: ["CREATE", "UPDATE"],
        resources: ["configmaps/*"],
        scope: "Namespaced",
      },
    ],
    extra: {},
  },
];

/** Writes rules, CA and path into the three configurations, where they differ. They are part of the manifests. */
export async function register(
  client: KubeClient,
  { systemNamespace, ca }: { systemNamespace: string; ca: string },
): Promise<void> {
  const namespace = await client.get<KubeObject>(namespaces, systemNamespace);
  const owner = {
    apiVersion: "v1",
    kind: "Namespace",
    name: systemNamespace,
    uid: namespace.metadata.uid ?? "",
    // It goes with the namespace; nothing manages it.
    controller: false,
    blockOwnerDeletion: true,
  };
  const caBundle = Buffer.from(ca).toString("base64");
  for (const registration of registrations) await put(client, registration, owner, caBundle);
}

async function put(
  client: KubeClient,
  { resource, name, path, rules, extra }: Registration,
  owner: OwnerReference,
  caBundle: string,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const found = await client.get<WebhookConfiguration>(resource, name);
    const webhooks = (found.webhooks ?? []).map((webhook) =>
      webhook.name !== name
        ? webhook
        : {
            ...webhook,
            ...extra,
            rules,
            clientConfig: {
              ...webhook.clientConfig,
              caBundle,
              ...(webhook.clientConfig.service === undefined
                ? {}
                : { service: { ...webhook.clientConfig.service, path } }),
            },
          },
    );
    const wanted = { ...found, metadata: { ...found.metadata, ownerReferences: [owner] }, webhooks };
    if (sameValue(found, wanted)) return;
    try {
      await client.update(resource, wanted);
      return;
    } catch (error) {
      // Another replica writes the same: look again.
      if (!isConflict(error) || attempt >= 5) throw error;
    }
  }
}
