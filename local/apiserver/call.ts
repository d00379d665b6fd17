/** One request to the API after routing, in the form that all verbs take. */
import type { KubeObject } from "../../api/meta.ts";
import { apiVersionOf } from "../../api/meta.ts";
import type { Kind } from "./kind.ts";

export interface User {
  username: string;
  groups: string[];
  uid?: string;
}

export type Subresource = "" | "status" | "scale";
export type FieldValidation = "Strict" | "Warn" | "Ignore";

export interface Call {
  user: User;
  kind: Kind;
  /** "" for cluster scope, or for all namespaces. */
  namespace: string;
  /** "" where the call names no object. */
  name: string;
  subresource: Subresource;
  dryRun: boolean;
  /** As the client names it, "" where it does not. */
  fieldManager: string;
  /**
   * Under which name the fields that it changes are recorded. "" for the server's own writes: they are not recorded
   * where nothing else is.
   */
  manager: string;
  /** Where it is written through another subresource than the one it changes: that one. */
  through?: "scale";
  fieldValidation: FieldValidation;
  /** No webhook is asked. For what must come before the programs that answer them. */
  unasked?: true;
  /** Fields that the body gives more than once, where that is to be told. */
  duplicateFields?: readonly string[];
  /** For the client's user; shown by kubectl as `Warning: …`. */
  warn: (text: string) => void;
}

/** Who the server itself is when it clears away what nobody owns. */
export const garbageCollector: User = {
  username: "system:serviceaccount:kube-system:generic-garbage-collector",
  groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
};
export const namespaceController: User = {
  username: "system:serviceaccount:kube-system:namespace-controller",
  groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
};

/** A call made by the server on its own behalf. */
export function ownCall(user: User, kind: Kind, namespace: string, name: string): Call {
  return {
    user,
    kind,
    namespace,
    name,
    subresource: "",
    dryRun: false,
    fieldManager: "",
    manager: "",
    fieldValidation: "Ignore",
    warn: () => {},
  };
}

/** The object as this version of its kind shows it. Versions of one kind differ in nothing but their name here. */
export function presented(kind: Kind, object: KubeObject): KubeObject {
  const apiVersion = apiVersionOf(kind.resource);
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

/** RFC 3339 in whole seconds, as every timestamp of the API. */
export const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;
