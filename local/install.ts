/** Installs the manifests that a real cluster gets, through the API, in their order. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  configMaps,
  customResourceDefinitions,
  deployments,
  mutatingWebhookConfigurations,
  namespaces,
  secrets,
  serviceAccounts,
  services,
  validatingWebhookConfigurations,
} from "../api/core.ts";
import { horizontalPodAutoscalers } from "../api/horizontal-pod-autoscaler.ts";
import { apiVersionOf, type KubeObject, type Resource } from "../api/meta.ts";
import { isAlreadyExists, isConflict, isNotFound, type KubeClient } from "../kube/client.ts";

export interface Manifests {
  crds: KubeObject[];
  core: KubeObject[];
}

/** Says which manifest an object was made from, so that a start with the same manifests writes nothing. */
const hashAnnotation = "swell.dev/manifest-hash";
const establishedWithinMs = 10_000;

const rbac = (plural: string, kind: string, namespaced: boolean): Resource => ({
  group: "rbac.authorization.k8s.io",
  version: "v1",
  plural,
  kind,
  namespaced,
});

/** What may stand in a manifest. */
const installable: readonly Resource[] = [
  namespaces,
  serviceAccounts,
  configMaps,
  secrets,
  services,
  deployments,
  mutatingWebhookConfigurations,
  validatingWebhookConfigurations,
  customResourceDefinitions,
  rbac("clusterroles", "ClusterRole", false),
  rbac("clusterrolebindings", "ClusterRoleBinding", false),
  rbac("roles", "Role", true),
  rbac("rolebindings", "RoleBinding", true),
  horizontalPodAutoscalers,
  { group: "policy", version: "v1", plural: "poddisruptionbudgets", kind: "PodDisruptionBudget", namespaced: true },
  {
    group: "caching.internal.knative.dev",
    version: "v1alpha1",
    plural: "images",
    kind: "Image",
    namespaced: true,
  },
];

/**
 * Creates what is missing and replaces what came from another manifest. A ConfigMap that exists keeps its data: it is
 * the person's to edit. Resolves when the CRDs are served and everything is written.
 */
export async function install(client: KubeClient, { crds, core }: Manifests): Promise<void> {
  await Promise.all(crds.map((crd) => apply(client, crd)));
  await Promise.all(crds.map((crd) => established(client, crd)));
  // A pod is started as it stands when it comes: what it reads, and the Services that lead to it, are there before it.
  for (const object of core) if (object.kind !== "Deployment") await apply(client, object);
  await Promise.all(core.filter(({ kind }) => kind === "Deployment").map((object) => apply(client, object)));
}

async function apply(client: KubeClient, manifest: KubeObject): Promise<void> {
  const resource = resourceOf(manifest);
  const { name = "", namespace } = manifest.metadata;
  const hash = createHash("sha256").update(JSON.stringify(manifest)).digest("hex").slice(0, 16);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const present = await getIfThere(client, resource, name, namespace);
      if (present === undefined) {
        const annotations = { ...manifest.metadata.annotations, [hashAnnotation]: hash };
        await client.create(resource, { ...manifest, metadata: { ...manifest.metadata, annotations } });
      } else {
        const next = replacement(present, manifest, hash);
        if (next !== undefined) await client.update(resource, next);
      }
      return;
    } catch (error) {
      // The cluster's own controllers write some of these too.
      if (attempt < 5 && (isConflict(error) || isAlreadyExists(error))) continue;
      throw new Error(`cannot install ${manifest.kind} ${name}: ${(error as Error).message}`, { cause: error });
    }
  }
}

/** What to store instead of `present`; undefined to leave it. */
export function replacement(present: KubeObject, manifest: KubeObject, hash: string): KubeObject | undefined {
  if (manifest.kind === "ConfigMap" || present.metadata.annotations?.[hashAnnotation] === hash) return undefined;
  const old = present as KubeObject & { spec?: object };
  const wanted = manifest as KubeObject & { spec?: object };
  const next: KubeObject & { spec?: object } = {
    ...old,
    ...wanted,
    metadata: {
      ...old.metadata,
      labels: { ...old.metadata.labels, ...wanted.metadata.labels },
      annotations: { ...old.metadata.annotations, ...wanted.metadata.annotations, [hashAnnotation]: hash },
    },
    // Keeps what the cluster filled in, a Service's address for one.
    ...(wanted.spec === undefined ? {} : { spec: { ...old.spec, ...wanted.spec } }),
  };
  return next;
}

async function established(client: KubeClient, crd: KubeObject): Promise<void> {
  const deadlineMs = Date.now() + establishedWithinMs;
  for (let waitMs = 5; ; waitMs = Math.min(200, waitMs * 2)) {
    const stored = await client.get<KubeObject & { status?: { conditions?: { type: string; status: string }[] } }>(
      customResourceDefinitions,
      crd.metadata.name ?? "",
    );
    const conditions = stored.status?.conditions ?? [];
    if (conditions.some(({ type, status }) => type === "Established" && status === "True")) return;
    if (Date.now() > deadlineMs)
      throw new Error(`CustomResourceDefinition ${crd.metadata.name} is not served: ${JSON.stringify(conditions)}`);
    await sleep(waitMs);
  }
}

async function getIfThere(
  client: KubeClient,
  resource: Resource,
  name: string,
  namespace: string | undefined,
): Promise<KubeObject | undefined> {
  try {
    return await client.get(resource, name, namespace);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function resourceOf({ apiVersion, kind }: KubeObject): Resource {
  const found = installable.find((resource) => resource.kind === kind && apiVersionOf(resource) === apiVersion);
  if (found === undefined) throw new Error(`manifests: no way to install a ${kind} of ${apiVersion}`);
  return found;
}
