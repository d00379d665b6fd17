/** Makers of the columns that `kubectl get` prints. */
import type { KubeObject } from "../../../api/meta.ts";
import type { Column } from "../kind.ts";
import { ageSince } from "./age.ts";

export function column(name: string, type: Column["type"], cell: Column["cell"], priority = 0): Column {
  return { name, type, format: "", description: "", priority, cell };
}

export const nameColumn: Column = {
  ...column("Name", "string", (object: KubeObject) => object.metadata.name ?? ""),
  format: "name",
};
export const ageColumn: Column = column("Age", "string", ({ metadata }, nowMs) =>
  ageSince(metadata.creationTimestamp, nowMs),
);
export const createdAtColumn: Column = column(
  "Created At",
  "date",
  ({ metadata }) => metadata.creationTimestamp ?? null,
);
