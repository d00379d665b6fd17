/** Revision → Deployment, Images and PodAutoscaler, and their state into its conditions (spec: serving-api 4.11). */
import { podAutoscalers, images, type PodAutoscaler } from "../../api/autoscaling.ts";
import { conditionOf, isReady, revisionConditions, type Conditions } from "../../api/conditions.ts";
import { deployments, type Deployment } from "../../api/core.ts";
import { sameValue } from "../../api/equality.ts";
import { label } from "../../api/keys.ts";
import { keyOf } from "../../api/meta.ts";
import { deploymentName } from "../../api/names.ts";
import { revisions, type Revision } from "../../api/serving.ts";
import { done, type Outcome } from "../../kube/reconciler.ts";
import { index } from "../caches.ts";
import { ensureChild, ownedChild } from "../children.ts";
import { isControlledBy } from "../../kube/write.ts";
import type { ConfigName, PlatformConfig } from "../config/store.ts";
import {
  NotOwnedError,
  notOwnedMessage,
  ownerKeys,
  statusReconciler,
  type Deps,
  type Reconciler,
  settledIn,
} from "../reconciler.ts";
import type { DigestResolver } from "./digest.ts";
import { createSidecarCertificates, type SidecarCertificate } from "./sidecar-certificate.ts";
import type { Platform } from "./queue-proxy.ts";
import {
  makeDeployment,
  makeImages,
  makePodAutoscaler,
  mergeDeployment,
  podAutoscalerAnnotations,
} from "./resources.ts";
import { startupCause } from "./startup-cause.ts";
import { reachabilityOf, showCause, showDeployment, showNewDeployment, showPodAutoscaler } from "./status.ts";

/** Their change may change what a Deployment should be. */
const relevant: readonly ConfigName[] = ["network", "observability", "deployment", "defaults", "features", "logging"];

export interface RevisionDeps extends Deps {
  statsKey: Uint8Array;
  digests: DigestResolver;
}

/** All of a Revision that its Deployment depends on. */
const deploymentInputs = ({ metadata: { uid, generation, labels, annotations }, status }: Revision): string =>
  JSON.stringify([
    uid,
    generation,
    labels,
    annotations,
    status?.containerStatuses ?? null,
    status?.initContainerStatuses ?? null,
  ]);

export function revisionReconciler(deps: RevisionDeps): Reconciler {
  const { caches, client, config, record, digests } = deps;
  const reconcileStatus = statusReconciler<Revision>(deps, revisions, revisionConditions);
  const sidecarCertificates = createSidecarCertificates(deps);

  const platform = (): Platform => ({
    config: config.current,
    systemNamespace: deps.systemNamespace,
    statsAddress: `autoscaler.${deps.systemNamespace}.svc.${deps.clusterDomain}:8082`,
    statsKey: deps.statsKey,
  });

  /** Revision → what its Deployment was made from last, and the hash of what came out. */
  const made = new Map<string, { from: string; config: Readonly<PlatformConfig>; hash: string | undefined }>();

  /** The Deployment as it should be: to make it only to see that nothing has changed is dear, and done at each event. */
  function upToDate(revision: Revision, from: string): Deployment | undefined {
    const known = made.get(keyOf(revision));
    if (known?.from !== from || known.config !== config.current) return undefined;
    const { namespace, name = "" } = revision.metadata;
    const found = caches.deployments.get(`${namespace}/${deploymentName(name)}`);
    if (found === undefined || found.metadata.deletionTimestamp !== undefined) return undefined;
    const isOurs = isControlledBy(found, revision) && found.metadata.labels?.[label.deploymentHash] === known.hash;
    return isOurs ? found : undefined;
  }

  /** With `asItIs` one that exists is not changed. */
  async function deploymentOf(revision: Revision, conditions: Conditions, asItIs: boolean): Promise<Deployment> {
    const from = deploymentInputs(revision);
    const found = upToDate(revision, from);
    if (found !== undefined) return shown(revision, conditions, found);
    const wanted = makeDeployment(revision, platform());
    const child = await ensureChild(client, deployments, caches.deployments, revision, wanted);
    if (child.is === "foreign") {
      const message = notOwnedMessage("Deployment", wanted.metadata.name ?? "");
      conditions.markFalse("ResourcesAvailable", "NotOwned", message);
      throw new NotOwnedError(message);
    }
    if (child.is === "created") {
      showNewDeployment(conditions);
      return child.object;
    }
    made.set(keyOf(revision), {
      from,
      config: config.current,
      hash: wanted.metadata.labels?.[label.deploymentHash],
    });
    const same =
      asItIs || child.object.metadata.labels?.[label.deploymentHash] === wanted.metadata.labels?.[label.deploymentHash];
    const deployment = same
      ? child.object
      : await client.update<Deployment>(deployments, mergeDeployment(child.object, wanted));
    return shown(revision, conditions, deployment);
  }

  function shown(revision: Revision, conditions: Conditions, deployment: Deployment): Deployment {
    const { namespace, name } = revision.metadata;
    const pods = caches.pods
      .byIndex(index.byRevision, `${namespace}/${name}`)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    showDeployment(conditions, deployment, pods, config.current.deployment.podIsAlwaysSchedulable);
    return deployment;
  }

  async function podAutoscalerOf(
    revision: Revision,
    conditions: Conditions,
    deployment: Deployment,
  ): Promise<PodAutoscaler> {
    const wanted = makePodAutoscaler(revision, reachabilityOf(revision, conditions, deployment));
    const child = await ensureChild(client, podAutoscalers, caches.podAutoscalers, revision, wanted);
    if (child.is === "foreign") {
      const message = notOwnedMessage("PodAutoscaler", wanted.metadata.name ?? "");
      conditions.markFalse("ResourcesAvailable", "NotOwned", message);
      throw new NotOwnedError(message);
    }
    const found = child.object;
    const annotations = podAutoscalerAnnotations(found, wanted);
    if (sameValue(found.spec, wanted.spec) && sameValue(found.metadata.annotations ?? {}, annotations)) return found;
    return client.update<PodAutoscaler>(podAutoscalers, {
      ...found,
      metadata: { ...found.metadata, annotations },
      spec: wanted.spec,
    });
  }

  return {
    name: "revision-controller",
    lease: "knative.dev.serving.pkg.reconciler.revision.reconciler",
    isSettled: settledIn(caches.revisions),
    async reconcile(key) {
      const revision = caches.revisions.get(key);
      if (revision === undefined || revision.metadata.deletionTimestamp !== undefined) {
        digests.forget(key);
        made.delete(key);
        return done;
      }
      return reconcileStatus(revision, async ({ status, conditions }) => {
        const template = config.current.observability.revisionUrlTemplate;
        if (template === "") delete status.logUrl;
        else status.logUrl = template.replaceAll("${REVISION_UID}", revision.metadata.uid ?? "");

        const resolved = digests.resolve(revision);
        if (resolved.is === "resolving") {
          conditions.markUnknown("ResourcesAvailable", "ResolvingDigests", "");
          return done;
        }
        if (resolved.is === "failed") {
          const before = conditionOf(revision, "ContainerHealthy");
          conditions.markFalse("ContainerHealthy", "ContainerMissing", resolved.message);
          if (before?.message !== resolved.message) record(revision, "Warning", "InternalError", resolved.message);
          return done; // The resolver tries again by itself and enqueues the Revision.
        }
        status.containerStatuses = resolved.containers;
        if (resolved.initContainers.length > 0) status.initContainerStatuses = resolved.initContainers;

        const certificate = await certificateOf(revision, conditions);
        const isWaiting = certificate.is === "waiting";
        const { namespace = "", name = "" } = revision.metadata;
        if (isWaiting && caches.deployments.get(`${namespace}/${deploymentName(name)}`) === undefined) {
          conditions.markUnknown("ResourcesAvailable", "CertificateNotReady", certificate.message);
          return done; // Its event runs the key.
        }
        const withDigests: Revision = { ...revision, status: { ...status } };
        const deployment = await deploymentOf(withDigests, conditions, isWaiting);
        const [podAutoscaler] = await Promise.all([
          podAutoscalerOf(revision, conditions, deployment),
          ...makeImages(revision, status).map(async (image) =>
            ownedChild(await ensureChild(client, images, caches.images, revision, image)),
          ),
        ]);
        showPodAutoscaler(status, conditions, podAutoscaler);
        const outcome = showWhatHoldsItBack(revision, conditions);
        if (conditions.is("Ready", "True") && !isReady(revision))
          record(revision, "Normal", "RevisionReady", "Revision becomes ready upon all resources being ready");
        return outcome;
      });
    },
    watch: (enqueue) => {
      const all = (): void => caches.revisions.list().forEach((revision) => enqueue(keyOf(revision)));
      return [
        caches.revisions.onChange(({ object }) => enqueue(keyOf(object))),
        caches.deployments.onChange(({ object }) => ownerKeys(object, revisions).forEach(enqueue)),
        caches.podAutoscalers.onChange(({ object }) => ownerKeys(object, revisions).forEach(enqueue)),
        caches.images.onChange((change) => {
          if (change.is === "deleted") ownerKeys(change.object, revisions).forEach(enqueue);
        }),
        caches.pods.onChange(({ object }) => {
          const name = object.metadata.labels?.[label.revision];
          if (name !== undefined) enqueue(`${object.metadata.namespace}/${name}`);
        }),
        digests.onResolved(enqueue),
        sidecarCertificates.onChange((namespace) => {
          if (config.current.network.systemInternalTls)
            caches.revisions.list(namespace).forEach((revision) => enqueue(keyOf(revision)));
        }),
        config.onChange((name) => {
          if (relevant.includes(name)) all();
        }),
      ];
    },
  };

  async function certificateOf(revision: Revision, conditions: Conditions): Promise<SidecarCertificate> {
    try {
      return await sidecarCertificates.ensure(revision);
    } catch (error) {
      if (error instanceof NotOwnedError) conditions.markFalse("ResourcesAvailable", "NotOwned", error.message);
      throw error;
    }
  }

  function showWhatHoldsItBack(revision: Revision, conditions: Conditions): Outcome {
    if (!conditions.is("ResourcesAvailable", "Unknown")) return done;
    const { namespace, name } = revision.metadata;
    const cause = startupCause(revision, caches.pods.byIndex(index.byRevision, `${namespace}/${name}`), deps.nowMs());
    showCause(conditions, cause.message);
    return cause.againInMs === undefined ? done : { is: "again", afterMs: cause.againInMs };
  }
}
