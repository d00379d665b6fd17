/** The Routes that a Revision or Configuration is annotated with, and the routing state that follows (spec: 4.5). */
import { rfc3339 } from "../../api/conditions.ts";
import { annotation, label } from "../../api/keys.ts";
import type { Configuration, Revision } from "../../api/serving.ts";

/** A merge patch of the metadata: null deletes. */
export interface MetadataPatch {
  metadata: { labels?: Record<string, string>; annotations: Record<string, string | null> };
}

export const routesOf = (object: Revision | Configuration): string[] =>
  (object.metadata.annotations?.[annotation.routes] ?? "").split(",").filter((name) => name !== "");

/** What to change so that the object lists the Route (or no longer does); undefined when nothing. */
export function referencePatch(
  object: Revision | Configuration,
  route: string,
  isReferenced: boolean,
  nowMs: number,
): MetadataPatch | undefined {
  const before = routesOf(object);
  const names = new Set(before);
  if (isReferenced) names.add(route);
  else names.delete(route);
  const isRevision = object.kind === "Revision";
  const state = names.size > 0 ? "active" : "reserve";
  const stateChanges = isRevision && object.metadata.labels?.[label.routingState] !== state;
  if (before.length === names.size && before.includes(route) === isReferenced && !(isReferenced && stateChanges))
    return undefined;
  return {
    metadata: {
      ...(stateChanges ? { labels: { [label.routingState]: state } } : {}),
      annotations: {
        [annotation.routes]: names.size === 0 ? null : [...names].sort().join(","),
        ...(stateChanges ? { [annotation.routingStateModified]: rfc3339(nowMs) } : {}),
      },
    },
  };
}
