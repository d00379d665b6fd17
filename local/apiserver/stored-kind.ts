/** The kind under which a stored object was written. */
import type { Kind, KindRegistry } from "./kind.ts";
import type { Entry } from "./store.ts";

/** Undefined when nobody serves it any more. */
export function storedKind(kinds: KindRegistry, { object }: Entry): Kind | undefined {
  const slash = object.apiVersion.indexOf("/");
  const group = slash < 0 ? "" : object.apiVersion.slice(0, slash);
  return kinds.findByKind(group, object.apiVersion.slice(slash + 1), object.kind);
}
