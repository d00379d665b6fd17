/** Which labels a selector picks (apimachinery meta/v1 LabelSelector). */
type Labels = Readonly<Record<string, string>> | undefined;

export { selects } from "../../api/label-selector.ts";

/** Whether `labels` holds every pair of `wanted`. */
export function hasAll(wanted: Readonly<Record<string, string>>, labels: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}
