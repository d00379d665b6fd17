/** How objects are shown to a client that asks for a Table (`kubectl get`) or for metadata alone. */
import type { KubeList, KubeObject } from "../../api/meta.ts";
import type { Kind } from "./kind.ts";

export type IncludeObject = "None" | "Metadata" | "Object";

export interface Table {
  kind: "Table";
  apiVersion: "meta.k8s.io/v1";
  metadata: object;
  columnDefinitions: { name: string; type: string; format: string; description: string; priority: number }[];
  rows: { cells: (string | number | boolean | null)[]; object?: object }[];
}

export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  metadata: object,
  include: IncludeObject,
  nowMs: number,
): Table {
  return {
    kind: "Table",
    apiVersion: "meta.k8s.io/v1",
    metadata,
    columnDefinitions: kind.columns.map(({ name, type, format, description, priority }) => ({
      name,
      type,
      format,
      description,
      priority,
    })),
    rows: objects.map((object) => {
      const cells = kind.columns.map((column) => column.cell(object, nowMs));
      if (include === "None") return { cells };
      return { cells, object: include === "Object" ? object : partialOf(object) };
    }),
  };
}

export const partialOf = ({ metadata }: KubeObject): object => ({
  kind: "PartialObjectMetadata",
  apiVersion: "meta.k8s.io/v1",
  metadata,
});

export const partialListOf = (list: KubeList<KubeObject>): object => ({
  kind: "PartialObjectMetadataList",
  apiVersion: "meta.k8s.io/v1",
  metadata: list.metadata,
  items: list.items.map(partialOf),
});
