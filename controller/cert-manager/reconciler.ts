/** Certificate of cert-manager's class → cert-manager's own, and what that one says back (spec: serving-api 4.15). */
import { certificateConditions, isReady } from "../../api/conditions.ts";
import { sameValue } from "../../api/equality.ts";
import { annotation } from "../../api/keys.ts";
import { keyOf, type KubeObject } from "../../api/meta.ts";
import { certificates, type Certificate } from "../../api/networking.ts";
import { isConflict } from "../../kube/client.ts";
import { done, type Outcome } from "../../kube/reconciler.ts";
import { alternativeCertificateClass } from "../certificate/certificates.ts";
import { ensureChild } from "../children.ts";
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
import { certManagerClass, cmCertificates, type CmCertificate, type CmIssuer } from "./kinds.ts";
import { makeCmCertificate } from "./resources.ts";
import { asksOverHttp, httpChallenges, isSolver, showReadiness } from "./status.ts";
import { watchCertManager, type CertManager, type CertManagerWatch } from "./watch.ts";

/** A renewal is further away than a timer can wait. */
const longestWaitMs = 12 * 3_600_000;

const isOurs = ({ metadata: { annotations = {} } }: Certificate): boolean =>
  (annotations[annotation.certificateClass] ?? annotations[alternativeCertificateClass]) === certManagerClass;

export function certManagerReconciler(deps: Deps, connect: typeof watchCertManager = watchCertManager): Reconciler {
  const { caches, client, config, record, nowMs } = deps;
  const reconcileStatus = statusReconciler<Certificate>(deps, certificates, certificateConditions);
  let manager: CertManagerWatch | undefined;

  async function ensure(
    { certificates: cache }: CertManager,
    owner: Certificate,
    wanted: CmCertificate,
  ): Promise<CmCertificate> {
    const key = keyOf(wanted);
    const told = async <T>(reason: string, verb: string, write: Promise<T>): Promise<T> => {
      try {
        return await write;
      } catch (error) {
        if (!(error instanceof StaleCacheError) && !isConflict(error))
          record(owner, "Warning", reason, `Failed to ${verb} Cert-Manager Certificate ${key}: ${String(error)}`);
        throw error;
      }
    };
    const child = await told("CreationFailed", "create", ensureChild(client, cmCertificates, cache, owner, wanted));
    if (child.is === "foreign")
      throw new NotOwnedError(notOwnedMessage("CertManagerCertificate", wanted.metadata.name ?? ""));
    const { object: found } = child;
    if (child.is === "created") record(owner, "Normal", "Created", `Created Cert-Manager Certificate ${key}`);
    if (sameValue(comparable(found.spec), comparable(wanted.spec))) return found;
    const spec = { ...found.spec, ...wanted.spec };
    const updated = await told(
      "UpdateFailed",
      "update",
      client.update<CmCertificate>(cmCertificates, { ...found, spec }),
    );
    record(owner, "Normal", "Updated", `Updated Spec for Cert-Manager Certificate ${key}`);
    return updated;
  }

  function issuerOf(present: CertManager, { metadata, spec: { issuerRef } }: CmCertificate): CmIssuer | undefined {
    const { name, kind = "Issuer", group = cmCertificates.group } = issuerRef;
    if (group !== cmCertificates.group) return undefined;
    return kind === "ClusterIssuer"
      ? present.clusterIssuers.get(name)
      : present.issuers.get(`${metadata.namespace}/${name}`);
  }

  async function ask(present: CertManager, draft: Draft<Certificate>): Promise<Outcome> {
    const { object: certificate, status, conditions } = draft;
    const made = makeCmCertificate(certificate, config.current.certmanager);
    if (made.is === "refused") {
      conditions.markFalse("Ready", made.reason, made.message);
      // Nothing but another spec or another configuration cures it.
      if (conditions.get("Ready")?.message !== reasonBefore(certificate))
        record(certificate, "Warning", "InternalError", made.message);
      return done;
    }
    let found: CmCertificate;
    try {
      found = await ensure(present, certificate, made.certificate);
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof NotOwnedError) conditions.markFalse("Ready", "NotOwned", message);
      else if (!conditions.is("Ready", "False"))
        conditions.markUnknown("Ready", "ReconcileFailed", `cert-manager's Certificate cannot be written: ${message}`);
      throw error;
    }
    const { notAfter, renewalTime } = found.status ?? {};
    if (notAfter === undefined) delete status.notAfter;
    else status.notAfter = notAfter;
    const readiness = showReadiness(conditions, found, nowMs());
    delete status.http01Challenges;
    if (readiness.is === "ready") {
      if (renewalTime === undefined) return done;
      return { is: "again", afterMs: Math.min(Math.max(Date.parse(renewalTime) - nowMs(), 0), longestWaitMs) };
    }
    if (asksOverHttp(issuerOf(present, found))) {
      const solvers = caches.services.list(certificate.metadata.namespace).filter(isSolver);
      const challenges = httpChallenges(found.spec.dnsNames ?? [], solvers, (name) =>
        present.challenges.get(`${certificate.metadata.namespace}/${name}`),
      );
      if (challenges.length > 0) status.http01Challenges = challenges;
    }
    return done;
  }

  return {
    name: "certificate-controller",
    lease: "knative.dev.serving.pkg.reconciler.certificate.reconciler",
    async reconcile(key) {
      const certificate = caches.certificates.get(key);
      if (certificate === undefined || certificate.metadata.deletionTimestamp !== undefined) return done;
      if (!isOurs(certificate)) return done;
      const presence = manager?.presence ?? { is: "unknown" };
      if (presence.is === "unknown" || presence.is === "starting") return done; // What comes next runs the key.
      if (presence.is === "present") return reconcileStatus(certificate, (draft) => ask(presence, draft));
      // What it has provided stays good without it.
      if (isReady(certificate)) return done;
      return reconcileStatus(certificate, async ({ conditions }) =>
        conditions.markUnknown(
          "Ready",
          "CertManagerNotInstalled",
          `The cluster has no cert-manager, which is to provide Certificates of class ${certManagerClass}.`,
        ),
      );
    },
    watch: (enqueue) => {
      const those = (wanted: (certificate: Certificate) => boolean, namespace?: string): void =>
        caches.certificates
          .list(namespace)
          .filter((certificate) => isOurs(certificate) && wanted(certificate))
          .forEach((certificate) => enqueue(keyOf(certificate)));
      const pending = (namespace: string | undefined): void =>
        those(
          (certificate) => !isReady(certificate) || (certificate.status?.http01Challenges ?? []).length > 0,
          namespace,
        );
      const started = connect({
        client,
        log: deps.log,
        onChange: (kind: keyof CertManager | undefined, object: KubeObject | undefined) => {
          if (kind === undefined || object === undefined) those(() => true);
          else if (kind === "certificates") ownerKeys(object, certificates).forEach(enqueue);
          else pending(object.metadata.namespace);
        },
      });
      manager = started;
      return [
        caches.certificates.onChange(({ object }) => {
          if (isOurs(object)) enqueue(keyOf(object));
        }),
        caches.services.onChange(({ object }) => {
          if (isSolver(object)) pending(object.metadata.namespace);
        }),
        config.onChange((name) => {
          if (name === "certmanager") those(() => true);
        }),
        () => started.stop(),
      ];
    },
  };
}

const reasonBefore = (certificate: Certificate): string | undefined =>
  certificate.status?.conditions?.find(({ type }) => type === "Ready")?.message;

/** Of what is ours to say; cert-manager fills in the rest. */
function comparable({ commonName, secretName, dnsNames, issuerRef, secretTemplate }: CmCertificate["spec"]): object {
  const { name, kind = "Issuer", group = cmCertificates.group } = issuerRef;
  const labels = secretTemplate?.labels;
  return { commonName, secretName, dnsNames, issuer: { name, kind, group }, labels };
}
