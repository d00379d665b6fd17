/** The ConfigMaps as they are shipped, from what {@link configMapSources} says may be set. */
import { checksumOf } from "../controller/webhook/admission.ts";
import type { ConfigMapSource } from "./config-maps.ts";

const preface = [
  "Nothing in this block is read: it shows what may be set, with the values that hold where nothing is.",
  'To change one, copy its line to "data", beside this block, and leave the block as it is.',
];

/** The text of `_example`: YAML, each setting with its default. */
export function exampleOf({ settings }: ConfigMapSource): string {
  const comments = (lines: readonly string[]): string => lines.map((line) => `# ${line}\n`).join("");
  return [
    comments(preface),
    ...settings.map(([key, value, does]) => `${comments([does])}${key}: ${JSON.stringify(value)}\n`),
  ].join("\n");
}

export function configMap(source: ConfigMapSource, version: string): object {
  const example = source.settings.length === 0 ? undefined : exampleOf(source);
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: source.name,
      namespace: "knative-serving",
      labels: {
        "app.kubernetes.io/name": "knative-serving",
        "app.kubernetes.io/component": source.component,
        "app.kubernetes.io/version": version,
        ...source.labels,
      },
      ...(example === undefined ? {} : { annotations: { "knative.dev/example-checksum": checksumOf(example) } }),
    },
    data: { ...source.data, ...(example === undefined ? {} : { _example: example }) },
  };
}
