/** What a Deployment needs of its ReplicaSets: one to create, sizes to change, old ones to drop. Pure. */
import type { Deployment, PodTemplateSpec, ReplicaSet } from "../../api/core.ts";
import { isSameJson } from "../../kube/write.ts";
import { canonical, hashName } from "./names.ts";
import {
  isScaling,
  recreate,
  rollingUpdate,
  rolloutLimits,
  scale,
  type Limits,
  type Member,
  type Sizes,
} from "./rollout.ts";
import { isComplete } from "./deployment-status.ts";

export const templateHash = "pod-template-hash";
export const revisionAnnotation = "deployment.kubernetes.io/revision";
const desiredAnnotation = "deployment.kubernetes.io/desired-replicas";
const ceilingAnnotation = "deployment.kubernetes.io/max-replicas";
/** Annotations of a Deployment that its ReplicaSets do not take over. */
const ownAnnotations = new Set([
  "kubectl.kubernetes.io/last-applied-configuration",
  revisionAnnotation,
  desiredAnnotation,
  ceilingAnnotation,
]);

export interface Plan {
  create: ReplicaSet | undefined;
  /** As they should be stored; each has the resourceVersion it was computed from. */
  update: { from: ReplicaSet; to: ReplicaSet }[];
  remove: ReplicaSet[];
  /** The present template's ReplicaSet, where it exists. */
  fresh: ReplicaSet | undefined;
  old: ReplicaSet[];
  /** Of the present template; undefined while it has no ReplicaSet. */
  revision: string | undefined;
  limits: Limits;
  /** spec.replicas of all ReplicaSets once the plan is carried out. */
  wantedReplicas: number;
}

/** `oldPodsRunning`: pods of other templates that have not ended (for Recreate). */
export function rolloutPlan(deployment: Deployment, replicaSets: readonly ReplicaSet[], oldPodsRunning: boolean): Plan {
  const limits = rolloutLimits(deployment);
  const byAge = [...replicaSets].sort((a, b) => createdMs(a) - createdMs(b));
  const fresh = byAge.find((replicaSet) => sameTemplate(replicaSet.spec.template, deployment.spec.template));
  const old = byAge.filter((replicaSet) => replicaSet !== fresh);
  const isPaused = deployment.spec.paused === true;
  const isRolling = deployment.spec.strategy?.type !== "Recreate";

  const revision = nextRevision(fresh, old);
  const create = fresh === undefined && !isPaused ? newReplicaSet(deployment, revision) : undefined;
  const target = fresh ?? create;
  const members = old.map(memberOf);
  const freshMember = target === undefined ? undefined : memberOf(target);

  let sizes: Sizes;
  if (freshMember === undefined || isPaused || isScaling(limits, [freshMember, ...members]))
    sizes = scale(limits, fresh === undefined ? undefined : freshMember, members, isRolling);
  else if (isRolling) sizes = rollingUpdate(limits, freshMember, members);
  else sizes = recreate(limits, freshMember, members, oldPodsRunning);

  const sized = (replicaSet: ReplicaSet): ReplicaSet => {
    const replicas = sizes.get(replicaSet.metadata.name ?? "") ?? replicaSet.spec.replicas ?? 0;
    const annotations = {
      ...replicaSet.metadata.annotations,
      ...(replicas === 0 && (replicaSet.spec.replicas ?? 0) === 0 && replicaSet !== target
        ? {}
        : {
            [desiredAnnotation]: String(limits.replicas),
            [ceilingAnnotation]: String(limits.replicas + limits.surge),
          }),
      ...(replicaSet === target ? takenOver(deployment) : {}),
      ...(replicaSet === target ? { [revisionAnnotation]: revision } : {}),
    };
    const minReady = replicaSet === target ? deployment.spec.minReadySeconds : replicaSet.spec.minReadySeconds;
    const { minReadySeconds: _, ...spec } = replicaSet.spec;
    return {
      ...replicaSet,
      metadata: { ...replicaSet.metadata, annotations },
      spec: { ...spec, replicas, ...(minReady === undefined ? {} : { minReadySeconds: minReady }) },
    };
  };
  const existing = byAge.map((from) => ({ from, to: sized(from) }));
  const created = create === undefined ? undefined : sized(create);
  const remove = surplus(deployment, old, isPaused);
  return {
    create: created,
    update: existing.filter(({ from, to }) => !remove.includes(from) && differs(from, to)),
    remove,
    fresh,
    old,
    revision: target === undefined ? undefined : revision,
    limits,
    wantedReplicas: [...existing.map(({ to }) => to), ...(created === undefined ? [] : [created])].reduce(
      (sum, replicaSet) => sum + (replicaSet.spec.replicas ?? 0),
      0,
    ),
  };
}

/** Equal but for the hash that the ReplicaSet adds. */
export function sameTemplate(a: PodTemplateSpec, b: PodTemplateSpec): boolean {
  const [one, other] = [withoutHash(a), withoutHash(b)];
  // Nearly always they are the same to the letter, which is far cheaper to see.
  return isSameJson(one, other) || canonical(one) === canonical(other);
}

function withoutHash(template: PodTemplateSpec): PodTemplateSpec {
  const { [templateHash]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

function newReplicaSet(deployment: Deployment, revision: string): ReplicaSet {
  const { name = "", namespace = "", uid = "" } = deployment.metadata;
  const { template, selector, minReadySeconds } = deployment.spec;
  const hash = hashName([withoutHash(template), deployment.status?.collisionCount ?? 0]);
  const labels = { ...template.metadata?.labels, [templateHash]: hash };
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: {
      name: `${name}-${hash}`,
      namespace,
      labels,
      annotations: { ...takenOver(deployment), [revisionAnnotation]: revision },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "Deployment", name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec: {
      replicas: 0,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [templateHash]: hash } },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

function takenOver(deployment: Deployment): Record<string, string> {
  const entries = Object.entries(deployment.metadata.annotations ?? {});
  return Object.fromEntries(entries.filter(([key]) => !ownAnnotations.has(key)));
}

const revisionOf = (replicaSet: ReplicaSet) => Number(replicaSet.metadata.annotations?.[revisionAnnotation] ?? 0) || 0;

/** One more than the highest of the old ones; a template that came back gets a new number. */
function nextRevision(fresh: ReplicaSet | undefined, old: readonly ReplicaSet[]): string {
  const next = Math.max(0, ...old.map(revisionOf)) + 1;
  return String(Math.max(next, fresh === undefined ? 0 : revisionOf(fresh)));
}

function surplus(deployment: Deployment, old: readonly ReplicaSet[], isPaused: boolean): ReplicaSet[] {
  const limit = deployment.spec.revisionHistoryLimit ?? 10;
  if (!isPaused && !isComplete(deployment, deployment.status ?? {})) return [];
  const alive = old.filter((replicaSet) => replicaSet.metadata.deletionTimestamp === undefined);
  return alive
    .sort((a, b) => revisionOf(a) - revisionOf(b))
    .slice(0, Math.max(0, alive.length - limit))
    .filter(
      ({ metadata, spec, status }) =>
        (spec.replicas ?? 0) === 0 &&
        (status?.replicas ?? 0) === 0 &&
        (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0),
    );
}

function memberOf({ metadata, spec, status }: ReplicaSet): Member {
  const numeric = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  return {
    name: metadata.name ?? "",
    wanted: spec.replicas ?? 0,
    available: status?.availableReplicas ?? 0,
    createdMs: createdMs({ metadata }),
    sizedFor: numeric(metadata.annotations?.[desiredAnnotation]),
    ceiling: numeric(metadata.annotations?.[ceilingAnnotation]),
  };
}

const differs = (from: ReplicaSet, to: ReplicaSet) =>
  from.spec.replicas !== to.spec.replicas ||
  (from.spec.minReadySeconds ?? 0) !== (to.spec.minReadySeconds ?? 0) ||
  canonical(from.metadata.annotations) !== canonical(to.metadata.annotations);

const createdMs = ({ metadata }: Pick<ReplicaSet, "metadata">) => Date.parse(metadata.creationTimestamp ?? "") || 0;
