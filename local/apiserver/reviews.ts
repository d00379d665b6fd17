/** Kinds that are asked and answered but never stored: who am I, may I, whose token is this. */
import type { KubeObject } from "../../api/meta.ts";
import type { Attributes, Authorizer } from "./authorization.ts";
import type { User } from "./call.ts";
import { isObject, memberOf } from "./json-value.ts";
import type { PolicyRule, Rbac } from "./rbac.ts";

export interface ReviewDeps {
  user: User;
  authorize: Authorizer;
  /** Undefined where no roles are evaluated. */
  rulesFor: Rbac["rulesFor"] | undefined;
  authenticate: (bearer: string) => User | undefined;
  /** Namespace of the path, "" where it has none. */
  namespace: string;
}

const authorization = "authorization.k8s.io";
const authentication = "authentication.k8s.io";

export const reviewResources = [
  { group: authentication, plural: "tokenreviews", kind: "TokenReview", namespaced: false },
  { group: authentication, plural: "selfsubjectreviews", kind: "SelfSubjectReview", namespaced: false },
  { group: authorization, plural: "subjectaccessreviews", kind: "SubjectAccessReview", namespaced: false },
  { group: authorization, plural: "selfsubjectaccessreviews", kind: "SelfSubjectAccessReview", namespaced: false },
  { group: authorization, plural: "localsubjectaccessreviews", kind: "LocalSubjectAccessReview", namespaced: true },
  { group: authorization, plural: "selfsubjectrulesreviews", kind: "SelfSubjectRulesReview", namespaced: false },
] as const;

export type ReviewKind = (typeof reviewResources)[number]["kind"];

export function reviewKind(group: string, version: string, plural: string): ReviewKind | undefined {
  if (version !== "v1") return undefined;
  return reviewResources.find((one) => one.group === group && one.plural === plural)?.kind;
}

/** The body with its status filled in. */
export function answerReview(kind: ReviewKind, body: KubeObject, deps: ReviewDeps): object {
  const spec = memberOf(body, "spec");
  const group = reviewResources.find((one) => one.kind === kind)!.group;
  return {
    ...body,
    apiVersion: `${group}/v1`,
    kind,
    metadata: body.metadata ?? {},
    status: statusOf(kind, spec, deps),
  };
}

function statusOf(kind: ReviewKind, spec: unknown, deps: ReviewDeps): object {
  const { user, authorize, authenticate, namespace } = deps;
  switch (kind) {
    case "SelfSubjectReview":
      return { userInfo: user };
    case "TokenReview": {
      const found = authenticate(textAt(spec, "token"));
      return found === undefined ? { authenticated: false } : { authenticated: true, user: found };
    }
    case "SelfSubjectAccessReview":
      return authorize(user, attributesOf(spec, namespace));
    case "SubjectAccessReview":
    case "LocalSubjectAccessReview": {
      const groups = memberOf(spec, "groups");
      const subject = {
        username: textAt(spec, "user"),
        groups: Array.isArray(groups) ? groups.map(String) : [],
      };
      return authorize(subject, attributesOf(spec, namespace));
    }
    case "SelfSubjectRulesReview":
      break;
  }
  const everything = [
    { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
    { verbs: ["*"], nonResourceURLs: ["*"] },
  ];
  const { rules, errors } = deps.rulesFor?.(user, textAt(spec, "namespace")) ?? { rules: everything, errors: [] };
  const isOfPath = ({ nonResourceURLs = [] }: PolicyRule): boolean => nonResourceURLs.length > 0;
  return {
    resourceRules: rules.filter((rule) => !isOfPath(rule)),
    nonResourceRules: rules.filter(isOfPath),
    incomplete: errors.length > 0,
    ...(errors.length > 0 && { evaluationError: errors.join(", ") }),
  };
}

function attributesOf(spec: unknown, namespace: string): Attributes {
  const asked = memberOf(spec, "resourceAttributes");
  const path = memberOf(spec, "nonResourceAttributes");
  const text = (name: string): string => textAt(asked, name);
  return {
    verb: isObject(path) ? textAt(path, "verb") : text("verb"),
    group: text("group"),
    resource: text("resource"),
    subresource: text("subresource"),
    namespace: text("namespace") || namespace,
    name: text("name"),
    ...(isObject(path) && { path: textAt(path, "path") }),
  };
}

function textAt(value: unknown, key: string): string {
  const member = memberOf(value, key);
  return typeof member === "string" ? member : "";
}
