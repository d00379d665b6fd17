/** ConfigMap `config-features`. */
import { featureKeys, type Features, type Flag } from "../../api/features.ts";
import { type Data, ConfigValues } from "./values.ts";

const flags: readonly Flag[] = ["Enabled", "Allowed", "Disabled"];
const securityLevels = ["Disabled", "AllowRootBounded", "Enabled"] as const;

/** Values match in any case; one that is no flag leaves the stock value, as Knative does. */
export function parseFeatures(data: Data | undefined): Features {
  const values = new ConfigValues(data);
  const match = <T extends string>(key: string, allowed: readonly T[], stock: T): T => {
    const text = values.text(key, "").toLowerCase();
    return allowed.find((flag) => flag.toLowerCase() === text) ?? stock;
  };
  const features = Object.fromEntries(
    Object.entries(featureKeys).map(([name, [key, stock]]) => [name, match<Flag>(key, flags, stock)]),
  ) as Record<keyof typeof featureKeys, Flag>;
  return Object.freeze({
    ...features,
    securePodDefaults: match("secure-pod-defaults", securityLevels, "Disabled"),
  });
}
