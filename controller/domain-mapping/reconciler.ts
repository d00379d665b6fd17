/** DomainMapping → ClusterDomainClaim, Certificate and Ingress (spec: serving-api 4.14). */
import { conditionOf, domainMappingConditions, isObserved, type Conditions } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { apiVersionOf, keyOf } from "../../api/meta.ts";
import { domainMappingCertificateName } from "../../api/names.ts";
import {
  clusterDomainClaims,
  kIngresses,
  type Certificate,
  type ClusterDomainClaim,
  type KIngress,
} from "../../api/networking.ts";
import { domainMappings, kServices, routes, type DomainMapping } from "../../api/serving.ts";
import { isAlreadyExists, isNotFound } from "../../kube/client.ts";
import { done, type Outcome } from "../../kube/reconciler.ts";
import { index, objectTarget } from "../caches.ts";
import {
  certificateState,
  ensureCertificate,
  ingressTls,
  isRenewing,
  makeCertificate,
  removeCertificates,
  wantsExternalTls,
  type IngressTls,
} from "../certificate/certificates.ts";
import { ensureChild } from "../children.ts";
import { isControlledBy } from "../../kube/write.ts";
import {
  NotOwnedError,
  notOwnedMessage,
  ownerKeys,
  StaleCacheError,
  statusReconciler,
  type Deps,
  type Draft,
  type Reconciler,
} from "../reconciler.ts";
import { createReferences, UnresolvedError, type References } from "./reference.ts";
import { makeIngress, type Target } from "./resources.ts";

export const domainMappingFinalizer = "domainmappings.serving.knative.dev";

interface Tls {
  tls: IngressTls[];
  challenges: NonNullable<NonNullable<Certificate["status"]>["http01Challenges"]>;
}

export function domainMappingReconciler(deps: Deps): Reconciler {
  const { caches, client, config, record } = deps;
  const reconcileStatus = statusReconciler<DomainMapping>(deps, domainMappings, domainMappingConditions);
  let references: References | undefined;
  const referencesOf = (): References => (references ??= createReferences(deps));

  /** One namespace at a time may use a domain. */
  async function claim({ object: mapping, conditions }: Draft<DomainMapping>): Promise<void> {
    const { name = "", namespace = "" } = mapping.metadata;
    const refuse = (message: string): never => {
      conditions.markFalse(
        "DomainClaimed",
        "DomainAlreadyClaimed",
        "The domain name is already in use by another DomainMapping",
      );
      throw new Error(message);
    };
    let found = caches.domainClaims.get(name);
    if (found === undefined) {
      if (!config.current.network.autocreateClusterDomainClaims)
        refuse(
          `no ClusterDomainClaim found for domain ${JSON.stringify(name)} (and autocreate-cluster-domain-claims property is not true)`,
        );
      try {
        found = await client.create<ClusterDomainClaim>(clusterDomainClaims, {
          apiVersion: apiVersionOf(clusterDomainClaims),
          kind: clusterDomainClaims.kind,
          metadata: { name },
          spec: { namespace },
        });
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
        found = await client.get<ClusterDomainClaim>(clusterDomainClaims, name);
      }
    }
    if (found.spec.namespace !== namespace)
      refuse(`namespace ${JSON.stringify(namespace)} does not own ClusterDomainClaim for ${JSON.stringify(name)}`);
    conditions.markTrue("DomainClaimed");
  }

  async function tlsOf({ object: mapping, status, conditions }: Draft<DomainMapping>): Promise<Tls> {
    const { name = "", namespace = "" } = mapping.metadata;
    const { network } = config.current;
    const type = "CertificateProvisioned";
    const own = caches.certificates.get(`${namespace}/${domainMappingCertificateName(name)}`);
    const secure = (): void => {
      status.url = `https://${name}`;
    };
    const provided = mapping.spec.tls;
    if (provided !== undefined || !wantsExternalTls(mapping, network)) {
      if (own !== undefined && isControlledBy(own, mapping)) await removeCertificates(deps, mapping, [own]);
      if (provided === undefined) {
        conditions.markTrue(type, "TLSNotEnabled", "external-domain-tls is not enabled");
        return { tls: [], challenges: [] };
      }
      conditions.markTrue(type, "CertificateExternallyProvided", "TLS certificate was provided externally");
      secure();
      const { secretName } = provided;
      return { tls: [{ hosts: [name], secretName, secretNamespace: namespace }], challenges: [] };
    }
    const wanted = makeCertificate(
      mapping,
      { name: domainMappingCertificateName(name), type: "external-domain", dnsNames: [name], domain: name },
      network,
    );
    const certificate = await ensureCertificate(deps, mapping, wanted);
    const certificateName = wanted.metadata.name ?? "";
    if (certificate === undefined) {
      const message = `There is an existing certificate ${certificateName} that we don't own.`;
      conditions.markFalse(type, "CertificateNotOwned", message);
      throw new NotOwnedError(message);
    }
    const state = certificateState(certificate);
    if (state.is === "ready") {
      conditions.markTrue(type);
      secure();
      const challenges = isRenewing(certificate) ? (certificate.status?.http01Challenges ?? []) : [];
      return { tls: [ingressTls(certificate, [name])], challenges };
    }
    if (network.httpProtocol === "Enabled")
      conditions.markTrue(type, "HTTPDowngrade", `Certificate ${certificateName} is not ready downgrade HTTP.`);
    else {
      secure();
      if (state.is === "failed")
        conditions.markFalse(
          type,
          "CertificateProvisionFailed",
          `Certificate ${certificateName} failed to be provisioned.`,
        );
      else conditions.markUnknown(type, "CertificateNotReady", `Certificate ${certificateName} is not ready.`);
    }
    return { tls: [], challenges: certificate.status?.http01Challenges ?? [] };
  }

  async function targetOf({ object: mapping, conditions }: Draft<DomainMapping>): Promise<Target> {
    try {
      const target = await referencesOf().resolve(mapping);
      conditions.markTrue("ReferenceResolved");
      return target;
    } catch (error) {
      if (error instanceof UnresolvedError) conditions.markFalse("ReferenceResolved", "ResolveFailed", error.message);
      throw error;
    }
  }

  async function ingressOf(mapping: DomainMapping, wanted: KIngress, conditions: Conditions): Promise<KIngress> {
    const { name = "" } = wanted.metadata;
    let child;
    try {
      child = await ensureChild(client, kIngresses, caches.ingresses, mapping, wanted);
    } catch (error) {
      if (!(error instanceof StaleCacheError))
        record(mapping, "Warning", "CreationFailed", `Failed to create Ingress: ${(error as Error).message}`);
      throw error;
    }
    if (child.is === "foreign") {
      const message = notOwnedMessage("Ingress", name);
      conditions.markFalse("IngressReady", "NotOwned", message);
      throw new NotOwnedError(message);
    }
    const { object: found } = child;
    if (child.is === "created") record(mapping, "Normal", "Created", `Created Ingress ${JSON.stringify(name)}`);
    const { labels = {}, annotations = {} } = wanted.metadata;
    const same =
      sameValue(found.spec, wanted.spec) &&
      sameValue(found.metadata.labels ?? {}, labels) &&
      sameValue(found.metadata.annotations ?? {}, annotations);
    if (same) return found;
    const metadata = { ...found.metadata, labels, annotations };
    return client.update<KIngress>(kIngresses, { ...found, metadata, spec: wanted.spec });
  }

  async function reconcileMapping(draft: Draft<DomainMapping>): Promise<void> {
    const { object: mapping, status, conditions } = draft;
    const { name = "" } = mapping.metadata;
    status.url = `${config.current.network.defaultExternalScheme}://${name}`;
    status.address = { url: status.url };
    await claim(draft);
    const { tls, challenges } = await tlsOf(draft);
    status.address = { url: status.url };
    const target = await targetOf(draft);
    const wanted = makeIngress(mapping, target, tls, challenges, config.current);
    const ingress = await ingressOf(mapping, wanted, conditions);
    const ready = conditionOf(ingress, "Ready");
    if (!isObserved(ingress) || ready === undefined)
      conditions.markUnknown("IngressReady", "IngressNotConfigured", "Ingress has not yet been reconciled.");
    else conditions.set("IngressReady", ready.status, ready.reason, ready.message);
  }

  async function setFinalizers(mapping: DomainMapping, finalizers: string[]): Promise<void> {
    const { name = "", namespace, resourceVersion } = mapping.metadata;
    const body = { metadata: { finalizers, ...(resourceVersion === undefined ? {} : { resourceVersion }) } };
    try {
      await client.patch(domainMappings, name, namespace, { is: "merge", body });
    } catch (error) {
      if (isNotFound(error)) return;
      record(
        mapping,
        "Warning",
        "FinalizerUpdateFailed",
        `Failed to update finalizers for "${name}": ${String(error)}`,
      );
      throw error;
    }
    record(mapping, "Normal", "FinalizerUpdate", `Updated "${name}" finalizers`);
  }

  /** A claim that was made for the mapping goes with it. */
  async function finalize(mapping: DomainMapping, finalizers: readonly string[]): Promise<Outcome> {
    if (!finalizers.includes(domainMappingFinalizer)) return done;
    const { name = "", namespace } = mapping.metadata;
    const held = caches.domainClaims.get(name);
    if (config.current.network.autocreateClusterDomainClaims && held?.spec.namespace === namespace)
      await client.delete(clusterDomainClaims, name).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    await setFinalizers(
      mapping,
      finalizers.filter((finalizer) => finalizer !== domainMappingFinalizer),
    );
    return done;
  }

  return {
    name: "domainmapping-controller",
    lease: "knative.dev.serving.pkg.reconciler.domainmapping.reconciler",
    async reconcile(key) {
      const mapping = caches.domainMappings.get(key);
      if (mapping === undefined) return done;
      const finalizers = mapping.metadata.finalizers ?? [];
      if (mapping.metadata.deletionTimestamp !== undefined) return finalize(mapping, finalizers);
      if (!finalizers.includes(domainMappingFinalizer)) {
        await setFinalizers(mapping, [...finalizers, domainMappingFinalizer]);
        return done; // Its event runs the key again.
      }
      return reconcileStatus(mapping, reconcileMapping);
    },
    watch: (enqueue) => {
      const pointingAt = (target: string): void =>
        caches.domainMappings.byIndex(index.byTarget, target).forEach((mapping) => enqueue(keyOf(mapping)));
      references = createReferences(deps);
      return [
        caches.domainMappings.onChange(({ object }) => enqueue(keyOf(object))),
        caches.domainClaims.onChange(({ object }) =>
          caches.domainMappings
            .byIndex(index.byDomain, object.metadata.name ?? "")
            .forEach((mapping) => enqueue(keyOf(mapping))),
        ),
        caches.ingresses.onChange(({ object }) => ownerKeys(object, domainMappings).forEach(enqueue)),
        caches.certificates.onChange(({ object }) => ownerKeys(object, domainMappings).forEach(enqueue)),
        caches.kServices.onChange(({ object }) =>
          pointingAt(objectTarget(kServices.group, kServices.kind, keyOf(object))),
        ),
        caches.routes.onChange(({ object }) => pointingAt(objectTarget(routes.group, routes.kind, keyOf(object)))),
        caches.services.onChange((change) => {
          if (change.is !== "updated") pointingAt(objectTarget("", "Service", keyOf(change.object)));
        }),
        references.onChange(pointingAt),
        config.onChange((name) => {
          if (name === "network") caches.domainMappings.list().forEach((mapping) => enqueue(keyOf(mapping)));
        }),
      ];
    },
  };
}
