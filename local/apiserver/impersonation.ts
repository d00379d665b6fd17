/** `kubectl --as`: a user acts as another one, where it may. */
import type { IncomingHttpHeaders } from "node:http";
import { requirePermission, type Attributes, type Authorizer } from "./authorization.ts";
import type { User } from "./call.ts";
import { internal } from "./status-error.ts";

const serviceAccount = /^system:serviceaccount:([^:]+):([^:]+)$/;
const everyone = "system:authenticated";

/** The user that the request is made as. Throws ApiError 403. `all` are the header lines by lower-case name. */
export function impersonated(
  user: User,
  headers: IncomingHttpHeaders,
  all: NodeJS.Dict<string[]>,
  authorize: Authorizer,
): User {
  const name = headers["impersonate-user"];
  const groups = all["impersonate-group"] ?? [];
  const uid = headers["impersonate-uid"];
  const extras = Object.keys(headers).filter((header) => header.startsWith("impersonate-extra-"));
  if (typeof name !== "string" || name === "") {
    if (groups.length > 0 || uid !== undefined || extras.length > 0)
      throw internal("requested groups, uid or extra without impersonating a user");
    return user;
  }
  const ask = (asked: Partial<Attributes>): void =>
    requirePermission(authorize, user, {
      verb: "impersonate",
      group: "",
      resource: "users",
      subresource: "",
      namespace: "",
      name: "",
      ...asked,
    });
  const account = serviceAccount.exec(name);
  if (account === null) ask({ resource: "users", name });
  else ask({ resource: "serviceaccounts", namespace: account[1]!, name: account[2]! });
  for (const group of groups) ask({ resource: "groups", name: group });
  for (const header of extras) {
    const key = decodeURIComponent(header.slice("impersonate-extra-".length));
    for (const value of all[header] ?? [])
      ask({ group: "authentication.k8s.io", resource: "userextras", subresource: key, name: value });
  }
  if (typeof uid === "string") ask({ group: "authentication.k8s.io", resource: "uids", name: uid });
  const own =
    account !== null && groups.length === 0
      ? ["system:serviceaccounts", `system:serviceaccounts:${account[1]}`]
      : groups;
  const isAnonymous = name === "system:anonymous";
  return {
    username: name,
    groups: [...new Set([...own, isAnonymous ? "system:unauthenticated" : everyone])],
    ...(typeof uid === "string" && { uid }),
  };
}
