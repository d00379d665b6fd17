/** Knative's condition arithmetic (spec: serving-api 4.1): dependents decide the top condition. */
import type { KubeObject } from "./meta.ts";
import type { Condition, KnativeStatus } from "./serving.ts";

export interface ConditionTypes {
  /** `Ready` for every kind of ours. */
  top: string;
  /** The conditions that decide `top`; every other one is informational. */
  dependents: readonly string[];
}

interface Entry {
  condition: Condition;
  /** When it changed: milliseconds since the epoch, then order within this run. Later is larger. */
  changedMs: number;
  order: number;
}

/**
 * Knative's condition arithmetic over one status. Starts from what is stored, with missing conditions initialised;
 * `list` gives what to store next. All conditions that changed share the one time given.
 */
export class Conditions {
  readonly #types: ConditionTypes;
  readonly #before = new Map<string, Condition>();
  readonly #entries = new Map<string, Entry>();
  readonly #nowMs: number;
  #order = 0;

  constructor(types: ConditionTypes, current: readonly Condition[] | undefined, nowMs: number) {
    this.#types = types;
    this.#nowMs = nowMs;
    for (const condition of current ?? []) {
      this.#before.set(condition.type, condition);
      const changedMs = Date.parse(condition.lastTransitionTime ?? "");
      this.#entries.set(condition.type, { condition, changedMs: Number.isNaN(changedMs) ? 0 : changedMs, order: 0 });
    }
    const topIsTrue = this.get(types.top)?.status === "True";
    if (!this.#entries.has(types.top)) this.#put(types.top, "Unknown");
    for (const type of types.dependents) if (!this.#entries.has(type)) this.#put(type, topIsTrue ? "True" : "Unknown");
  }

  /**
   * The conditions of an object at the start of a reconcile: while its generation is one that was never observed,
   * the top condition is Unknown until the reconciler says otherwise.
   */
  static of(types: ConditionTypes, object: KubeObject & { status?: KnativeStatus }, nowMs: number): Conditions {
    const conditions = new Conditions(types, object.status?.conditions, nowMs);
    if (object.status?.observedGeneration !== object.metadata.generation)
      conditions.markUnknown(types.top, "NewObservedGenFailure", "unsuccessfully observed a new generation");
    return conditions;
  }

  get(type: string): Condition | undefined {
    return this.#entries.get(type)?.condition;
  }

  is(type: string, status: Condition["status"]): boolean {
    return this.get(type)?.status === status;
  }

  /** Top then copies the most recently changed False dependent, else the most recent Unknown one, else is True. */
  markTrue(type: string, reason = "", message = ""): void {
    this.#put(type, "True", reason, message);
    if (!this.#decides(type)) return;
    const unhappy = this.#latest("False") ?? this.#latest("Unknown");
    if (unhappy !== undefined) this.#put(this.#types.top, unhappy.status, unhappy.reason, unhappy.message);
    else if (type !== this.#types.top) this.#put(this.#types.top, "True");
  }

  markFalse(type: string, reason: string, message: string): void {
    this.#put(type, "False", reason, message);
    if (this.#decides(type)) this.#put(this.#types.top, "False", reason, message);
  }

  /** A False dependent keeps the top condition False. */
  markUnknown(type: string, reason: string, message: string): void {
    this.#put(type, "Unknown", reason, message);
    if (!this.#decides(type)) return;
    if (this.#latest("False") === undefined) this.#put(this.#types.top, "Unknown", reason, message);
    else if (!this.is(this.#types.top, "False")) this.#put(this.#types.top, "False", reason, message);
  }

  /** For a condition that is copied from another object. */
  set(type: string, status: Condition["status"], reason = "", message = ""): void {
    if (status === "True") this.markTrue(type, reason, message);
    else if (status === "False") this.markFalse(type, reason, message);
    else this.markUnknown(type, reason, message);
  }

  /** For an informational condition that has nothing to say any more. */
  remove(type: string): void {
    this.#entries.delete(type);
  }

  /** Sorted by type; `lastTransitionTime` is kept where nothing changed. */
  list(): Condition[] {
    const time = rfc3339(this.#nowMs);
    return [...this.#entries.values()]
      .map(({ condition }) => {
        const before = this.#before.get(condition.type);
        return before !== undefined && sameCondition(before, condition)
          ? before
          : { ...condition, lastTransitionTime: time };
      })
      .toSorted((a, b) => (a.type < b.type ? -1 : 1));
  }

  #decides(type: string): boolean {
    return type === this.#types.top || this.#types.dependents.includes(type);
  }

  #latest(status: Condition["status"]): Condition | undefined {
    let latest: Entry | undefined;
    for (const type of this.#types.dependents) {
      const entry = this.#entries.get(type);
      if (entry?.condition.status !== status) continue;
      const later =
        latest === undefined ||
        entry.changedMs > latest.changedMs ||
        (entry.changedMs === latest.changedMs && entry.order > latest.order);
      if (later) latest = entry;
    }
    return latest?.condition;
  }

  #put(type: string, status: Condition["status"], reason = "", message = ""): void {
    const condition: Condition = {
      type,
      status,
      ...(this.#decides(type) ? {} : { severity: "Info" as const }),
      ...(reason === "" ? {} : { reason }),
      ...(message === "" ? {} : { message }),
    };
    const current = this.#entries.get(type);
    if (current !== undefined && sameCondition(current.condition, condition)) return;
    this.#entries.set(type, { condition, changedMs: this.#nowMs, order: ++this.#order });
  }
}

function sameCondition(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    (a.reason ?? "") === (b.reason ?? "") &&
    (a.message ?? "") === (b.message ?? "") &&
    (a.severity ?? "") === (b.severity ?? "")
  );
}

/** As Kubernetes writes times: whole seconds, UTC. */
export function rfc3339(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

type WithStatus = KubeObject & { status?: KnativeStatus };

/** The condition of that type as stored. */
export function conditionOf(object: WithStatus | undefined, type: string): Condition | undefined {
  return object?.status?.conditions?.find((condition) => condition.type === type);
}

/** Ready for the generation that stands in the object now. */
export function isReady(object: WithStatus): boolean {
  return isObserved(object) && conditionOf(object, "Ready")?.status === "True";
}

/** Failed for the generation that stands in the object now. */
export function isFailed(object: WithStatus): boolean {
  return isObserved(object) && conditionOf(object, "Ready")?.status === "False";
}

/** Whether the status speaks of the generation that stands in the object now. */
export function isObserved(object: WithStatus): boolean {
  return object.status?.observedGeneration === object.metadata.generation;
}

export const serviceConditions: ConditionTypes = { top: "Ready", dependents: ["ConfigurationsReady", "RoutesReady"] };
export const configurationConditions: ConditionTypes = { top: "Ready", dependents: [] };
/** `Active` is informational. */
export const revisionConditions: ConditionTypes = {
  top: "Ready",
  dependents: ["ResourcesAvailable", "ContainerHealthy"],
};
export const routeConditions: ConditionTypes = {
  top: "Ready",
  dependents: ["AllTrafficAssigned", "IngressReady", "CertificateProvisioned"],
};
export const podAutoscalerConditions: ConditionTypes = {
  top: "Ready",
  dependents: ["Active", "ScaleTargetInitialized", "SKSReady"],
};
export const metricConditions: ConditionTypes = { top: "Ready", dependents: [] };
/** `ActivatorEndpointsPopulated` is informational. */
export const serverlessServiceConditions: ConditionTypes = { top: "Ready", dependents: ["EndpointsPopulated"] };
export const ingressConditions: ConditionTypes = {
  top: "Ready",
  dependents: ["NetworkConfigured", "LoadBalancerReady"],
};
export const certificateConditions: ConditionTypes = { top: "Ready", dependents: [] };
export const domainMappingConditions: ConditionTypes = {
  top: "Ready",
  dependents: ["DomainClaimed", "ReferenceResolved", "IngressReady", "CertificateProvisioned"],
};
