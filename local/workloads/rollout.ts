/** How a Deployment shares its replicas among its ReplicaSets. Pure; the arithmetic is Kubernetes'. */
import type { Deployment, IntOrString } from "../../api/core.ts";

/** One ReplicaSet as the rollout sees it. */
export interface Member {
  name: string;
  /** spec.replicas. */
  wanted: number;
  /** status.availableReplicas. */
  available: number;
  createdMs: number;
  /** What the Deployment asked for, and its ceiling, when this ReplicaSet was last sized. */
  sizedFor: number | undefined;
  ceiling: number | undefined;
}

export interface Limits {
  replicas: number;
  surge: number;
  unavailable: number;
}

/** maxSurge rounds up, maxUnavailable down; both zero would never move, so one pod may then be missing. */
export function rolloutLimits({ spec }: Deployment): Limits {
  const replicas = spec.replicas ?? 1;
  if (spec.strategy?.type === "Recreate") return { replicas, surge: 0, unavailable: 0 };
  const { maxSurge = "25%", maxUnavailable = "25%" } = spec.strategy?.rollingUpdate ?? {};
  const surge = share(maxSurge, replicas, Math.ceil);
  const unavailable = Math.min(replicas, share(maxUnavailable, replicas, Math.floor));
  return { replicas, surge, unavailable: surge === 0 && unavailable === 0 ? 1 : unavailable };
}

function share(value: IntOrString, of: number, round: (value: number) => number): number {
  if (typeof value === "number") return value;
  const percent = Number(value.replace(/%$/, ""));
  return Number.isNaN(percent) ? 0 : round((percent * of) / 100);
}

/** New sizes by name. */
export type Sizes = Map<string, number>;

/** Grows the new ReplicaSet up to the surge, and shrinks the old ones by what is not needed to stay available. */
export function rollingUpdate(limits: Limits, fresh: Member, old: readonly Member[]): Sizes {
  const sizes: Sizes = new Map();
  const room = limits.replicas + limits.surge - sum([fresh, ...old], "wanted");
  let size = Math.min(fresh.wanted, limits.replicas);
  if (fresh.wanted < limits.replicas) size += Math.max(0, Math.min(room, limits.replicas - fresh.wanted));
  sizes.set(fresh.name, size);

  const minAvailable = limits.replicas - limits.unavailable;
  const oldestFirst = old.filter((member) => member.wanted > 0).sort((a, b) => a.createdMs - b.createdMs);
  let removable = sum(old, "wanted") + size - minAvailable - Math.max(0, size - fresh.available);

  // Pods that serve nobody go first: they cost no availability.
  for (const member of oldestFirst) {
    const unhealthy = Math.max(0, Math.min(removable, member.wanted - member.available));
    sizes.set(member.name, member.wanted - unhealthy);
    removable -= unhealthy;
  }
  let spare = fresh.available + sum(old, "available") - minAvailable;
  for (const member of oldestFirst) {
    const left = sizes.get(member.name) ?? 0;
    const healthy = Math.max(0, Math.min(left, spare));
    sizes.set(member.name, left - healthy);
    spare -= healthy;
  }
  return sizes;
}

/** Old pods go first; the new ones start when none of the old is left running. */
export function recreate(limits: Limits, fresh: Member, old: readonly Member[], oldPodsRunning: boolean): Sizes {
  const sizes: Sizes = new Map(old.map((member) => [member.name, 0]));
  sizes.set(fresh.name, oldPodsRunning ? fresh.wanted : limits.replicas);
  return sizes;
}

/** The Deployment's own size changed since its ReplicaSets were sized. */
export function isScaling(limits: Limits, members: readonly Member[]): boolean {
  return members.some(
    (member) => member.wanted > 0 && member.sizedFor !== undefined && member.sizedFor !== limits.replicas,
  );
}

/** Sizes after the Deployment was scaled (in the middle of a rollout: each in proportion). */
export function scale(limits: Limits, fresh: Member | undefined, old: readonly Member[], isRolling: boolean): Sizes {
  const members = fresh === undefined ? [...old] : [fresh, ...old];
  const active = members.filter((member) => member.wanted > 0);
  if (active.length <= 1) {
    const newestFirst = [...old].sort((a, b) => b.createdMs - a.createdMs);
    const only = active[0] ?? fresh ?? newestFirst[0];
    return new Map(only === undefined ? [] : [[only.name, limits.replicas]]);
  }
  const isSaturated =
    fresh?.wanted === limits.replicas && fresh.sizedFor === limits.replicas && fresh.available === limits.replicas;
  if (isSaturated) return new Map(old.map((member) => [member.name, 0]));
  if (!isRolling) return new Map();

  const ceiling = limits.replicas > 0 ? limits.replicas + limits.surge : 0;
  const change = ceiling - sum(active, "wanted");
  // Larger first; among equals a growing Deployment favours the newest, a shrinking one keeps it.
  const newest = change > 0 ? -1 : 1;
  active.sort((a, b) => b.wanted - a.wanted || newest * (a.createdMs - b.createdMs));
  const sizes: Sizes = new Map();
  let given = 0;
  for (const member of active) {
    const before = member.ceiling ?? limits.replicas;
    const ideal =
      limits.replicas === 0 ? -member.wanted : Math.round((member.wanted * ceiling) / before) - member.wanted;
    const left = change - given;
    const part = change > 0 ? Math.max(0, Math.min(ideal, left)) : Math.min(0, Math.max(ideal, left));
    sizes.set(member.name, member.wanted + part);
    given += part;
  }
  const largest = active[0]!;
  sizes.set(largest.name, Math.max(0, (sizes.get(largest.name) ?? 0) + change - given));
  return sizes;
}

function sum(members: readonly Member[], field: "wanted" | "available"): number {
  return members.reduce((total, member) => total + member[field], 0);
}
