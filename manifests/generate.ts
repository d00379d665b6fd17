// Writes manifests/crds/ from manifests/schemas/, the ConfigMaps from manifests/config-maps.ts, and the one file with
// everything, manifests/swell.yaml; with --check only says whether it would change anything.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse, stringify } from "yaml";
import packageJson from "../package.json" with { type: "json" };
import { configMap } from "./config-example.ts";
import { configMapSources } from "./config-maps.ts";
import { crds, type CrdSource } from "./schemas/crds.ts";
import { object, string } from "./schemas/schema.ts";

const root = import.meta.dirname;
const written = (what: string): string =>
  `# Written by manifests/generate.ts: change ${what} and run \`npm run gen\`.\n`;
const yaml = (object: object): string => stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 });
const checkOnly = process.argv.includes("--check");

function manifest(source: CrdSource): object {
  const singular = source.kind.toLowerCase();
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${source.plural}.${source.group}`,
      labels: {
        "app.kubernetes.io/name": "knative-serving",
        "app.kubernetes.io/version": packageJson.version,
        "knative.dev/crd-install": "true",
        ...source.labels,
      },
    },
    spec: {
      group: source.group,
      names: {
        kind: source.kind,
        plural: source.plural,
        singular,
        categories: source.categories,
        ...(source.shortNames.length === 0 ? {} : { shortNames: source.shortNames }),
      },
      scope: source.scope,
      versions: [
        {
          name: source.version,
          served: true,
          storage: true,
          subresources: { status: {} },
          ...(source.columns.length === 0 ? {} : { additionalPrinterColumns: source.columns }),
          schema: {
            openAPIV3Schema: object({
              apiVersion: string,
              kind: string,
              metadata: { type: "object" },
              spec: source.spec,
              ...(source.status === undefined ? {} : { status: source.status }),
            }),
          },
        },
      ],
    },
  };
}

/** Path below manifests/ → content. */
const files = new Map(
  crds.map((source) => [
    `crds/${source.kind.toLowerCase()}.yaml`,
    `${written("manifests/schemas/")}${yaml(manifest(source))}`,
  ]),
);
files.set(
  "core/300-config.yaml",
  written("manifests/config-maps.ts") +
    configMapSources.map((source) => yaml(configMap(source, packageJson.version))).join("---\n"),
);

// In the order in which they are to be applied, as kustomization.yaml has them.
const { resources } = parse(readFileSync(path.join(root, "kustomization.yaml"), "utf8")) as { resources: string[] };
files.set(
  "swell.yaml",
  written("what it is made of") +
    resources
      .map((file) => files.get(file) ?? readFileSync(path.join(root, file), "utf8"))
      .map((text) => text.replace(/^---\n/u, "").trimEnd())
      .join("\n---\n") +
    "\n",
);

const present = ["crds", "core"].flatMap((folder) => {
  mkdirSync(path.join(root, folder), { recursive: true });
  return readdirSync(path.join(root, folder)).map((name) => `${folder}/${name}`);
});
const unlisted = [...new Set([...present, ...files.keys()])].filter(
  (file) => file !== "swell.yaml" && !resources.includes(file) && (files.has(file) || file.startsWith("core/")),
);
if (unlisted.length > 0) {
  console.error(`manifests/kustomization.yaml does not list ${unlisted.join(", ")}`);
  process.exit(1);
}
const changed = [...files].filter(([name, text]) => {
  const file = path.join(root, name);
  return !existsSync(file) || readFileSync(file, "utf8") !== text;
});
const stale = present.filter((file) => file.startsWith("crds/") && !files.has(file));
if (checkOnly && changed.length + stale.length > 0) {
  const names = [...changed.map(([name]) => name), ...stale].join(", ");
  console.error(`manifests/ is not what it is generated from (${names}): run \`npm run gen\` and commit the result`);
  process.exit(1);
}
if (!checkOnly) {
  for (const [name, text] of changed) writeFileSync(path.join(root, name), text);
  for (const name of stale) rmSync(path.join(root, name));
}
