/**
 * What the API server knows of one kind, built-in or from a CRD. The REST machinery (storage, verbs, watch, patch)
 * asks only this; everything that depends on a schema lives behind it.
 */
import type { KubeObject, Resource } from "../../api/meta.ts";

export interface FieldCause {
  /** As in a Status cause: FieldValueRequired, FieldValueInvalid, FieldValueNotSupported, … */
  reason: string;
  message: string;
  field: string;
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

export interface DecodeResult {
  object: KubeObject;
  /** Dotted paths: `spec.template.spec.contianers`. Already removed from the object. */
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
  columns: readonly Column[];
  /** Whether `metadata.generation` counts changes outside metadata and status. */
  hasGeneration: boolean;
  /** OpenAPI v3 schema of the kind, as published to `kubectl explain`. */
  openApiSchema: Readonly<Record<string, unknown>>;
  /** Drops (and names) fields the schema does not know; fixes nothing else. */
  prune: (object: KubeObject) => DecodeResult;
  /** Fills defaults in place. */
  applyDefaults: (object: KubeObject) => void;
  /** Problems of a new or changed object; [] when it is fine. */
  validate: (object: KubeObject, old: KubeObject | undefined) => FieldCause[];
}

/** The kinds being served. Changes when CRDs do. */
export interface KindRegistry {
  find(group: string, version: string, plural: string): Kind | undefined;
  findByKind(group: string, version: string, kind: string): Kind | undefined;
  all(): readonly Kind[];
  /** Serves every served version of the CRD. Returns the problems that forbid it, [] when it is established. */
  putCrd(crd: KubeObject): FieldCause[];
  removeCrd(name: string): void;
}
