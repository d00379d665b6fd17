/** Which Revisions a Route's traffic goes to (spec: serving-api 4.7). Pure over what the caches show. */
import { conditionOf, isReady } from "../../api/conditions.ts";
import { label } from "../../api/keys.ts";
import { protocolOf } from "../../api/revision-shape.ts";
import type { Condition, Configuration, Revision, Route, TrafficTarget } from "../../api/serving.ts";

export interface RevisionTarget {
  /** "" for none. */
  tag: string;
  revisionName: string;
  /** The Configuration the Revision belongs to. */
  configurationName: string;
  latestRevision: boolean;
  percent: number;
  protocol: "http1" | "h2c";
}

export type Traffic =
  | { is: "resolved"; targets: RevisionTarget[] }
  | {
      is: "unresolved";
      status: Condition["status"];
      reason: string;
      message: string;
      /** Named, and not there as far as is known. */
      absent?: { is: "configuration" | "revision"; name: string };
    };

type Unresolved = Extract<Traffic, { is: "unresolved" }>;

export interface TrafficSource {
  configuration: (name: string) => Configuration | undefined;
  revision: (name: string) => Revision | undefined;
}

/** Every entry is looked at. The first one that fails is told of, unless a later one can never succeed. */
export function resolveTraffic(route: Route, source: TrafficSource): Traffic {
  const targets: RevisionTarget[] = [];
  let failure: Unresolved | undefined;
  for (const entry of route.spec.traffic ?? []) {
    const found = (entry.revisionName ?? "") === "" ? ofConfiguration(entry, source) : ofRevision(route, entry, source);
    if ("is" in found) failure = failure === undefined || found.status === "False" ? found : failure;
    else targets.push(found);
  }
  return failure ?? { is: "resolved", targets };
}

function ofConfiguration(entry: TrafficTarget, source: TrafficSource): RevisionTarget | Unresolved {
  const name = entry.configurationName ?? "";
  const configuration = source.configuration(name);
  if (configuration === undefined)
    return {
      ...unresolved("False", "ConfigurationMissing", `Configuration "${name}" referenced in traffic not found.`),
      absent: { is: "configuration", name },
    };
  const latest = configuration.status?.latestReadyRevisionName ?? "";
  if (latest === "") {
    const ready = conditionOf(configuration, "Ready");
    return ready?.status === "False"
      ? unresolved(
          "False",
          "RevisionMissing",
          `Configuration "${name}" does not have any ready Revision`,
          ready.message,
        )
      : unresolved(
          "Unknown",
          "RevisionMissing",
          `Configuration "${name}" is waiting for a Revision to become ready`,
          ready?.message,
        );
  }
  const revision = checkRevision(latest, source);
  return "is" in revision ? revision : target(entry, revision, true);
}

function ofRevision(route: Route, entry: TrafficTarget, source: TrafficSource): RevisionTarget | Unresolved {
  const name = entry.revisionName ?? "";
  const revision = source.revision(name);
  if (revision === undefined) return missingRevision(name);
  const service = route.metadata.labels?.[label.service];
  const owner = revision.metadata.labels?.[label.service];
  if (service !== undefined && owner !== service)
    return unresolved(
      "False",
      "RevisionNotOwned",
      owner === undefined
        ? `Revision "${name}" does not belong to Service "${service}".`
        : `Revision "${name}" belongs to Service "${owner}", not Service "${service}".`,
    );
  const checked = checkRevision(name, source);
  return "is" in checked ? checked : target(entry, checked, false);
}

function checkRevision(name: string, source: TrafficSource): Revision | Unresolved {
  const revision = source.revision(name);
  if (revision === undefined) return missingRevision(name);
  if (isReady(revision)) return revision;
  const ready = conditionOf(revision, "Ready");
  return ready?.status === "False"
    ? unresolved("False", "RevisionMissing", `Revision "${name}" failed to become ready`, ready.message)
    : unresolved("Unknown", "RevisionMissing", `Revision "${name}" is not yet ready`, ready?.message);
}

const missingRevision = (name: string): Unresolved => ({
  ...unresolved("False", "RevisionMissing", `Revision "${name}" referenced in traffic not found.`),
  absent: { is: "revision", name },
});

/** Knative's sentence, and after it what we know of the cause. */
function unresolved(status: Condition["status"], reason: string, sentence: string, cause = ""): Unresolved {
  const message = cause !== "" ? `${sentence}: ${cause}` : sentence.endsWith(".") ? sentence : `${sentence}.`;
  return { is: "unresolved", status, reason, message };
}

function target(entry: TrafficTarget, revision: Revision, isLatest: boolean): RevisionTarget {
  return {
    tag: entry.tag ?? "",
    revisionName: revision.metadata.name ?? "",
    configurationName: revision.metadata.labels?.[label.configuration] ?? "",
    latestRevision: isLatest,
    percent: entry.percent ?? 0,
    protocol: protocolOf(revision.spec),
  };
}

/** The targets behind each host: "" for the Route's own, else the tag's. Keys sorted, "" first. */
export function targetsByHost(targets: readonly RevisionTarget[]): Map<string, RevisionTarget[]> {
  const tags = [...new Set(targets.map(({ tag }) => tag).filter((tag) => tag !== ""))].sort();
  const hosts = new Map([["", addedUp(targets, ({ revisionName }) => revisionName)]]);
  for (const tag of tags)
    hosts.set(
      tag,
      addedUp(
        targets.filter((entry) => entry.tag === tag),
        ({ revisionName }) => revisionName,
      ),
    );
  for (const [host, list] of hosts) if (list.length === 1) hosts.set(host, [{ ...list[0]!, percent: 100 }]);
  return hosts;
}

/** What the status shows: one entry per tag, Revision and way of naming it. */
export function statusTargets(targets: readonly RevisionTarget[]): RevisionTarget[] {
  return addedUp(targets, ({ tag, revisionName, latestRevision }) => `${tag} ${revisionName} ${latestRevision}`);
}

function addedUp(targets: readonly RevisionTarget[], keyOf: (target: RevisionTarget) => string): RevisionTarget[] {
  const sums = new Map<string, RevisionTarget>();
  for (const entry of targets) {
    const before = sums.get(keyOf(entry));
    sums.set(keyOf(entry), before === undefined ? entry : { ...before, percent: before.percent + entry.percent });
  }
  return [...sums.values()];
}
