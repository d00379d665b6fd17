/**
 * Which pods go when a revision shrinks: the idle before the busy. Kubernetes chooses, by state first and then by the
 * annotation `controller.kubernetes.io/pod-deletion-cost`, lowest first; what it does among equals is not foreseen here.
 * So the annotation is written only where a busier pod could go in place of a less busy one, and on no more pods than
 * that takes.
 */
import type { Pod } from "../api/core.ts";

export const podDeletionCost = "controller.kubernetes.io/pod-deletion-cost";

export interface CostChange {
  pod: Pod;
  /** An integer of 32 bits. */
  cost: number;
}

/** A requests-in-flight count; 0 for a pod that nothing is known of. */
export type InFlight = (pod: Pod) => number;

/** The `count` pods whose loss costs least: by state as Kubernetes has it, then by what they work on. */
export function victims(pods: readonly Pod[], inFlight: InFlight, count: number): Pod[] {
  return inOrder(pods, inFlight).slice(0, Math.max(0, count));
}

/**
 * The annotations to write so that Kubernetes gives up `count` of these pods and no busier one than `victims` says.
 * Empty when it would not choose otherwise anyway. `pods` are one ReplicaSet's; those that are finished or going already
 * are left out, as Kubernetes does.
 *
 * @param limit writes at most; of more the busiest pods are kept
 */
export function costChanges(pods: readonly Pod[], inFlight: InFlight, count: number, limit: number): CostChange[] {
  const ordered = inOrder(pods, inFlight);
  const last = ordered[count - 1];
  const next = ordered[count];
  if (last === undefined || next === undefined) return [];
  // Pods in another state than those at the boundary all go or all stay, whatever they cost.
  const peers = (each: Pod): boolean => stateRank(each) === stateRank(last);
  const going = ordered.slice(0, count).filter(peers);
  const staying = ordered.slice(count).filter(peers);
  // Who goes has at most this much in flight, who stays at least this much: only at equality either may go.
  const [most, least] = [inFlight(last), inFlight(next)];
  const idler = going.filter((pod) => inFlight(pod) < least);
  const busier = staying.filter((pod) => inFlight(pod) > most);
  const [topOfGoing, topOfIdler] = [highest(going), highest(idler)];
  const [bottomOfStaying, bottomOfBusier] = [-highest(staying, -1), -highest(busier, -1)];
  const couldGo = staying.filter((pod) => deletionCost(pod) <= (inFlight(pod) > most ? topOfGoing : topOfIdler));
  const couldStay = going.filter(
    (pod) => deletionCost(pod) >= (inFlight(pod) < least ? bottomOfStaying : bottomOfBusier),
  );
  if (couldGo.length <= couldStay.length && topOfGoing < largest)
    return couldGo
      .toSorted((a, b) => inFlight(b) - inFlight(a))
      .slice(0, limit)
      .map((pod) => ({ pod, cost: topOfGoing + 1 }));
  return couldStay.slice(0, limit).map((pod) => ({ pod, cost: Math.max(bottomOfStaying - 1, -largest) }));
}

/** The highest cost, or with `sign` -1 the negated lowest; -Infinity of none. */
function highest(pods: readonly Pod[], sign = 1): number {
  return pods.reduce((top, pod) => Math.max(top, sign * deletionCost(pod)), -Infinity);
}

const largest = 2 ** 31 - 1;
const phaseRank: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

function inOrder(pods: readonly Pod[], inFlight: InFlight): Pod[] {
  return pods
    .filter((pod) => !isLeaving(pod))
    .toSorted(
      (a, b) =>
        stateRank(a) - stateRank(b) ||
        inFlight(a) - inFlight(b) ||
        // Among equals those that would go anyway, so that nothing has to be written.
        deletionCost(a) - deletionCost(b) ||
        readySinceMs(b) - readySinceMs(a) ||
        createdMs(b) - createdMs(a),
    );
}

/** What Kubernetes looks at before the cost: on a node, phase, readiness; lower goes first. */
function stateRank(pod: Pod): number {
  const assigned = (pod.spec.nodeName ?? "") === "" ? 0 : 1;
  return assigned * 10 + (phaseRank[pod.status?.phase ?? "Pending"] ?? 1) * 2 + (readyCondition(pod) ? 1 : 0);
}

function isLeaving({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined || status?.phase === "Succeeded" || status?.phase === "Failed";
}

export function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[podDeletionCost] ?? "0";
  return /^-?(0|[1-9]\d*)$/u.test(text) ? Number(text) : 0;
}

const readyCondition = (pod: Pod) =>
  pod.status?.conditions?.find(({ type, status }) => type === "Ready" && status === "True");
const readySinceMs = (pod: Pod): number => Date.parse(readyCondition(pod)?.lastTransitionTime ?? "") || 0;
const createdMs = (pod: Pod): number => Date.parse(pod.metadata.creationTimestamp ?? "") || 0;
