/** Whether a user may do what it asks. Until RBAC is evaluated here, everyone who is known may do everything. */
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

export type Authorizer = (user: User, attributes: Attributes) => { allowed: boolean; reason?: string };

export const allowEveryone: Authorizer = () => ({ allowed: true });

/** Throws ApiError 403. */
export function requirePermission(authorize: Authorizer, user: User, attributes: Attributes): void {
  if (authorize(user, attributes).allowed) return;
  const { verb, group, resource, subresource, namespace, name } = attributes;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${JSON.stringify(namespace)}`;
  throw forbidden(
    { group, plural: resource },
    name,
    `User ${JSON.stringify(user.username)} cannot ${verb} resource ${JSON.stringify(what)} in API group ${JSON.stringify(group)} ${where}`,
  );
}
