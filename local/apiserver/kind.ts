/**
 * What the API server knows of one kind, built-in or from a CRD. The REST machinery (storage, verbs, watch, patch)
 * asks only this; everything that depends on a schema lives behind it.
 */
import type { KubeObject, Resource } from "../../api/meta.ts";

export interface FieldCause {
  /** As in a Status cause: FieldValueRequired, FieldValueInvalid, FieldValueNotSupported, … */
  reason: string;
  /** Without the field: `Required value`. A Status message joins the two by `: `. */
  message: string;
  /** `spec.template.spec.containers[0].image` */
  field: string;
}

/** A body whose values do not have the types of its kind. Answered with 400 BadRequest. */
export class DecodeError extends Error {
  override readonly name = "DecodeError";
}

/** One column of `kubectl get`. */
export interface Column {
  name: string;
  type: "string" | "integer" | "number" | "boolean" | "date";
  format: string;
  description: string;
  /** 0 = always shown, above that only with `-o wide`. */
  priority: number;
  /** The cell, null where the object has no such value. */
  cell: (object: KubeObject, nowMs: number) => string | number | boolean | null;
}

/** One place of a kind's objects, as server-side apply sees it. */
export interface Structure {
  /** Whether an object here has one owner as a whole. */
  isAtomic: boolean;
  /** What a list here is: items told apart by keys, by value, or not at all. */
  listType: { is: "map"; keys: readonly string[] } | { is: "set" } | { is: "atomic" };
  member: (name: string) => Structure;
  item: () => Structure;
}

/** How one kind shows the objects of another one. */
export interface KindView {
  of: { group: string; version: string; plural: string };
  /** Both share parts with what they get. */
  toStored: (object: KubeObject) => KubeObject;
  fromStored: (object: KubeObject) => KubeObject;
  /** The other kind's name of a field to select by. */
  fieldSelector: (path: string) => string;
}

export interface DecodeResult {
  object: KubeObject;
  /** Dotted paths: `spec.template.spec.contianers`, `spec.containers[0].imagee`. Already removed from the object. */
  unknownFields: string[];
}

export interface Kind {
  resource: Resource;
  singular: string;
  listKind: string;
  shortNames: readonly string[];
  categories: readonly string[];
  verbs: readonly string[];
  isCustom: boolean;
  /** Whether `/status` is a resource of its own: main writes then keep the stored status, status writes the rest. */
  hasStatus: boolean;
  /** JSONPaths such as `.spec.replicas`, where `/scale` exists. */
  scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  /** Field selectors besides metadata.name and metadata.namespace, with the value an object has for them. */
  fieldSelectors: Readonly<Record<string, (object: KubeObject) => string>>;
  /** All of them, the name included where it is one. */
  columns: readonly Column[];
  /** Whether `metadata.generation` counts changes outside metadata and status. */
  hasGeneration: boolean;
  /** OpenAPI v3 schema of the kind, as published to `kubectl explain`. */
  openApiSchema: Readonly<Record<string, unknown>>;
  /** Drops (in place) and names the fields that the schema does not know. Throws {@link DecodeError}. */
  prune: (object: KubeObject) => DecodeResult;
  /** Fills defaults in place. */
  applyDefaults: (object: KubeObject) => void;
  /** Problems of a new or changed object; [] when it is fine. */
  validate: (object: KubeObject, old: KubeObject | undefined) => FieldCause[];
  /** The object after a strategic merge patch, a new one. Absent for custom kinds: they answer 415. */
  strategicMerge?: (object: KubeObject, patch: object) => KubeObject;
  /** How server-side apply divides the objects into owned fields. */
  structure: Structure;
  /** Where its objects are stored as another kind's. */
  view?: KindView;
  /** Name of a built-in kind's field facts, `apps.v1.Deployment`. */
  message?: string;
}

/** The kinds being served. Changes when CRDs do. */
export interface KindRegistry {
  find(group: string, version: string, plural: string): Kind | undefined;
  findByKind(group: string, version: string, kind: string): Kind | undefined;
  all(): readonly Kind[];
  /** Serves every served version of the CRD. Returns the problems that forbid it, [] when it is established. */
  putCrd(crd: KubeObject): FieldCause[];
  removeCrd(name: string): void;
  /** The CRDs whose kinds are served. */
  crds(): readonly KubeObject[];
  /** Grows whenever the set of kinds changes: what is derived from the registry can be kept until then. */
  readonly revision: number;
}
