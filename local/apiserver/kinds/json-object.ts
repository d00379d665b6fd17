/** Steps into JSON values whose form has not been checked. */
import { isObject } from "../json-value.ts";

export type Json = Record<string, unknown>;

/** The list's members, where they are objects; [] for anything else. */
export const objects = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);

/** The member, where it is an object. */
export function child(parent: Json | undefined, name: string): Json | undefined {
  const value = parent?.[name];
  return isObject(value) ? value : undefined;
}
