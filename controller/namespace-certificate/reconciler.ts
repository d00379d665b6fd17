/** Namespace → one wildcard Certificate per domain, where the configuration selects it (spec: serving-api 4.15). */
import { sameValue } from "../../api/equality.ts";
import { label } from "../../api/keys.ts";
import { selects } from "../../api/label-selector.ts";
import { keyOf, type KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { namespaces } from "../../api/core.ts";
import { isConflict, isNotFound } from "../../kube/client.ts";
import { done } from "../../kube/reconciler.ts";
import { isControlledBy } from "../../kube/write.ts";
import { ensureChild } from "../children.ts";
import { controllerOf, StaleCacheError, type Deps, type Reconciler } from "../reconciler.ts";
import { makeWildcardCertificate, wildcardName } from "./resources.ts";

export function namespaceCertificateReconciler(deps: Deps): Reconciler {
  const { caches, client, config, record } = deps;

  /** What the write failed with is told of, and flies on. */
  async function told<T>(namespace: KubeObject, reason: string, doing: string, write: Promise<T>): Promise<T> {
    try {
      return await write;
    } catch (error) {
      if (!(error instanceof StaleCacheError) && !isConflict(error))
        record(namespace, "Warning", reason, `Failed to ${doing}: ${(error as Error).message}`);
      throw error;
    }
  }

  async function ensure(namespace: KubeObject, domain: string, present: readonly Certificate[]): Promise<void> {
    const { network } = config.current;
    const dnsName = wildcardName(network, domain, namespace.metadata.name ?? "");
    // Whoever made it: one is enough.
    if (present.some(({ spec }) => spec.dnsNames.includes(dnsName))) return;
    const wanted = makeWildcardCertificate(namespace, domain, dnsName, network);
    const key = keyOf(wanted);
    // The domain's template has changed: the certificate of the name before becomes that of this one.
    const before = present.find(
      (certificate) =>
        certificate.metadata.labels?.[label.wildcardDomain] === domain && isControlledBy(certificate, namespace),
    );
    if (before === undefined) {
      const making = ensureChild(client, certificates, caches.certificates, namespace, wanted);
      const child = await told(namespace, "CreationFailed", `create Knative certificate ${key}`, making);
      if (child.is === "foreign")
        throw new Error(
          `namespace ${namespace.metadata.name} does not own Knative Certificate: ${wanted.metadata.name}`,
        );
      if (child.is === "created") record(namespace, "Normal", "Created", `Created Knative Certificate ${key}`);
      return;
    }
    if (sameValue(before.spec, wanted.spec)) return;
    const writing = client.update<Certificate>(certificates, { ...before, spec: wanted.spec });
    await told(namespace, "UpdateFailed", `update Knative Certificate ${keyOf(before)}`, writing);
    record(namespace, "Normal", "Updated", `Updated Spec for Knative Certificate ${keyOf(before)}`);
  }

  async function remove(namespace: KubeObject, orphan: Certificate): Promise<void> {
    const { name = "", namespace: of } = orphan.metadata;
    try {
      await client.delete(certificates, name, of);
    } catch (error) {
      if (isNotFound(error)) return;
      const message = `Failed to delete Knative Certificate ${keyOf(orphan)}: ${(error as Error).message}`;
      record(namespace, "Normal", "DeleteFailed", message);
      throw error;
    }
    record(namespace, "Normal", "Deleted", `Deleted Knative Certificate ${keyOf(orphan)}`);
  }

  return {
    name: "nscert-controller",
    lease: "knative.dev.serving.pkg.reconciler.nscert.reconciler",
    async reconcile(key) {
      const namespace = caches.namespaces.get(key);
      if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return done;
      const { network, domain } = config.current;
      const present = caches.certificates
        .list(key)
        .filter(({ metadata }) => metadata.labels?.[label.wildcardDomain] !== undefined);
      const isSelected = selects(network.namespaceWildcardCertSelector, namespace.metadata.labels);
      const wanted = isSelected ? domain.wildcardDomains : [];
      for (const entry of wanted) await ensure(namespace, entry, present);
      for (const certificate of present)
        if (
          isControlledBy(certificate, namespace) &&
          !wanted.includes(certificate.metadata.labels?.[label.wildcardDomain] ?? "")
        )
          await remove(namespace, certificate);
      return done;
    },
    watch: (enqueue) => [
      caches.namespaces.onChange(({ object }) => enqueue(keyOf(object))),
      caches.certificates.onChange(({ object }) => {
        const owner = controllerOf(object);
        if (owner?.kind === namespaces.kind && owner.apiVersion === namespaces.version) enqueue(owner.name);
      }),
      config.onChange((name) => {
        if (name === "network" || name === "domain")
          caches.namespaces.list().forEach((namespace) => enqueue(keyOf(namespace)));
      }),
    ],
  };
}
