import { at, type Problems } from "./problems.ts";

/** Every field of `object` that is set and not among `allowed` is forbidden. */
export function mask(problems: Problems, object: object | undefined, allowed: readonly string[], path: string): void {
  const forbidden = Object.entries(object ?? {})
    .filter(([field, value]) => value !== undefined && value !== null && !allowed.includes(field))
    .map(([field]) => at(path, field));
  if (forbidden.length > 0) problems.forbidden(...forbidden);
}
