/** Get and list. Reads come from memory and are always current. */
import { apiVersionOf, type KubeList, type KubeObject } from "../../api/meta.ts";
import { presented, type Call } from "./call.ts";
import { selectionOf } from "./selectors.ts";
import { badRequest, expired, notFound, resourceName, versionTooLarge } from "./status-error.ts";
import type { Entry, Store } from "./store.ts";

export interface ListQuery {
  labelSelector: string;
  fieldSelector: string;
  resourceVersion: string;
  resourceVersionMatch: string;
  /** Items of a page; 0 for all. */
  limit: number;
  continue: string;
}

export function get(store: Store, { kind, namespace, name }: Call): KubeObject {
  const object = store.get(resourceName(kind.resource), namespace, name);
  if (object === undefined) throw notFound(kind.resource, name);
  return presented(kind, object);
}

/** Where the next page starts: after this key, in a list that began at this version. */
interface Position {
  version: number;
  after: { namespace: string; name: string };
}

/**
 * Pages show the objects as they are when the page is read, under the version of the first page: a watch from there
 * then repeats what the later pages may have shown already, and misses nothing.
 */
export function list(store: Store, call: Call, query: ListQuery): KubeList<KubeObject> {
  const { kind, namespace } = call;
  const { name, matches } = selectionOf(kind, query.labelSelector, query.fieldSelector);
  const position = query.continue === "" ? undefined : parsePosition(query.continue);
  const version = position?.version ?? store.version;
  if (version < store.oldest)
    throw expired("The provided continue parameter is too old to display a consistent list result.");
  if (position === undefined) requireVersion(store, query);
  const all = store.list(resourceName(kind.resource), namespace === "" ? undefined : namespace);
  const start = position === undefined ? 0 : firstAfter(all, position.after);
  const items: KubeObject[] = [];
  let next = start;
  for (; next < all.length; next++) {
    if (query.limit > 0 && items.length === query.limit) break;
    const { object } = all[next]!;
    if (name !== undefined && object.metadata.name !== name) continue;
    if (matches === undefined || matches(object)) items.push(presented(kind, object));
  }
  const metadata: KubeList<KubeObject>["metadata"] = { resourceVersion: String(version) };
  if (next < all.length) {
    const { namespace: lastNamespace = "", name: lastName = "" } = all[next - 1]!.object.metadata;
    metadata.continue = positionText({ version, after: { namespace: lastNamespace, name: lastName } });
    if (matches === undefined && name === undefined) metadata.remainingItemCount = all.length - next;
  }
  return { apiVersion: apiVersionOf(kind.resource), kind: kind.listKind, metadata, items };
}

function requireVersion(store: Store, { resourceVersion, resourceVersionMatch }: ListQuery): void {
  if (resourceVersion === "" || resourceVersion === "0") return;
  const version = parseVersion(resourceVersion);
  if (version > store.version) throw versionTooLarge(version, store.version);
  if (resourceVersionMatch === "Exact" && version !== store.version)
    throw expired(`The resourceVersion for the provided list is too old: ${version}.`);
}

export function parseVersion(text: string): number {
  const version = Number(text);
  if (!Number.isSafeInteger(version) || version < 0)
    throw badRequest(`Invalid value: ${JSON.stringify(text)}: resourceVersion is not a version`);
  return version;
}

function firstAfter(all: readonly Entry[], after: Position["after"]): number {
  const index = all.findIndex(({ object }) => {
    const { namespace = "", name = "" } = object.metadata;
    return namespace > after.namespace || (namespace === after.namespace && name > after.name);
  });
  return index < 0 ? all.length : index;
}

const positionText = (position: Position): string => Buffer.from(JSON.stringify(position)).toString("base64url");

function parsePosition(text: string): Position {
  try {
    const { version, after } = JSON.parse(Buffer.from(text, "base64url").toString("utf8")) as Position;
    if (Number.isSafeInteger(version) && typeof after.namespace === "string" && typeof after.name === "string")
      return { version, after };
  } catch {
    // Answered below.
  }
  throw badRequest("continue key is not valid");
}
