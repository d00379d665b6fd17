/** Whether a user may do what it asks; `rbac.ts` knows. */
import type { User } from "./call.ts";
import { forbidden } from "./status-error.ts";

export interface Attributes {
  verb: string;
  group: string;
  /** Plural; "" where the request is for a path that is no resource. */
  resource: string;
  subresource: string;
  /** "" for cluster scope and for all namespaces. */
  namespace: string;
  name: string;
  /** The path of a request that is for no resource. */
  path?: string;
}

/** `reason` is for people: by which binding it is allowed, or what stood in the way of knowing. */
export type Authorizer = (user: User, attributes: Attributes) => { allowed: boolean; reason?: string };

export const allowEveryone: Authorizer = () => ({ allowed: true });

/** Throws ApiError 403. */
export function requirePermission(authorize: Authorizer, user: User, attributes: Attributes): void {
  const { allowed, reason = "" } = authorize(user, attributes);
  if (allowed) return;
  const { verb, group, resource, subresource, namespace, name, path } = attributes;
  const who = `User ${JSON.stringify(user.username)} cannot ${verb}`;
  const because = reason === "" ? "" : `: ${reason}`;
  if (path !== undefined) throw forbidden(undefined, "", `${who} path ${JSON.stringify(path)}${because}`);
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  throw forbidden(
    { group, plural: resource },
    name,
    `${who} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}${because}`,
  );
}

export const pathAttributes = (verb: string, path: string): Attributes => ({
  verb,
  group: "",
  resource: "",
  subresource: "",
  namespace: "",
  name: "",
  path,
});
