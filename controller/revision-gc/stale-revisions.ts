/** Which Revisions of a Configuration have outlived their use (spec: serving-api 4.6). Pure. */
import { annotation, label } from "../../api/keys.ts";
import type { Configuration, Revision } from "../../api/serving.ts";
import type { GcConfig } from "../config/gc.ts";

export function staleRevisions(
  configuration: Configuration,
  all: readonly Revision[],
  gc: GcConfig,
  nowMs: number,
): Revision[] {
  const { minNonActiveRevisions: min, maxNonActiveRevisions: max, retainSinceCreateMs, retainSinceLastActiveMs } = gc;
  const neverStale = retainSinceCreateMs === undefined && retainSinceLastActiveMs === undefined;
  if ((max === undefined && neverStale) || all.length <= min) return [];

  const idle = all
    .filter((revision) => !isActive(revision, configuration))
    .toSorted((a, b) => lastActiveMs(a) - lastActiveMs(b));
  if (idle.length <= min) return [];

  const isStale = (revision: Revision): boolean =>
    !neverStale &&
    (retainSinceCreateMs === undefined || createdMs(revision) + retainSinceCreateMs < nowMs) &&
    (retainSinceLastActiveMs === undefined || lastActiveMs(revision) + retainSinceLastActiveMs < nowMs);

  const doomed = new Set<Revision>();
  for (const revision of idle) {
    if (idle.length - doomed.size <= min) break;
    if (isStale(revision)) doomed.add(revision);
  }
  const kept = idle.filter((revision) => !doomed.has(revision));
  const surplus = max === undefined ? 0 : Math.max(0, kept.length - max);
  return [...doomed, ...kept.slice(0, surplus)];
}

function isActive({ metadata }: Revision, configuration: Configuration): boolean {
  return (
    metadata.name === configuration.status?.latestReadyRevisionName ||
    (metadata.annotations?.["serving.knative.dev/no-gc"] ?? "").toLowerCase() === "true" ||
    metadata.labels?.[label.routingState] !== "reserve"
  );
}

const createdMs = ({ metadata }: Revision): number => Date.parse(metadata.creationTimestamp ?? "") || 0;

function lastActiveMs(revision: Revision): number {
  const modified = Date.parse(revision.metadata.annotations?.[annotation.routingStateModified] ?? "");
  return Number.isNaN(modified) ? createdMs(revision) : modified;
}
