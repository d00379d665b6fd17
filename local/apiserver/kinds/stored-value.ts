/** How printer columns read a stored object: by path, where an absent step is an absent value. */
import type { Column } from "../kind.ts";
import { column } from "./column.ts";

type Printed = Record<string, never>;
export const at = (object: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>(
    (value, step) => (value === null || typeof value !== "object" ? undefined : (value as Printed)[step]),
    object,
  );
export const list = (object: unknown, ...path: string[]): unknown[] => {
  const value = at(object, ...path);
  return Array.isArray(value) ? value : [];
};
export const text = (object: unknown, ...path: string[]): string => {
  const value = at(object, ...path);
  return value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
};
export const number = (object: unknown, ...path: string[]): number => Number(at(object, ...path) ?? 0);
export const count = (object: unknown, ...path: string[]): number =>
  Object.keys((at(object, ...path) as object | undefined) ?? {}).length;
export const or = (value: string, instead: string): string => (value === "" ? instead : value);
export const few = (values: string[], most: number): string =>
  values.length <= most ? values.join(",") : `${values.slice(0, most).join(",")} + ${values.length - most} more...`;

export const textColumn = (name: string, ...path: string[]): Column =>
  column(name, "string", (object) => text(object, ...path));
export const numberColumn = (name: string, ...path: string[]): Column =>
  column(name, "integer", (object) => number(object, ...path));
