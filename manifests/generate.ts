// Writes manifests/crds/ from manifests/schemas/; with --check only says whether it would change anything.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { stringify } from "yaml";
import packageJson from "../package.json" with { type: "json" };
import { crds, type CrdSource } from "./schemas/crds.ts";
import { object, string } from "./schemas/schema.ts";

const folder = path.join(import.meta.dirname, "crds");
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

const files = new Map(
  crds.map((source) => [
    `${source.kind.toLowerCase()}.yaml`,
    `# Written by manifests/generate.ts: change manifests/schemas/ and run \`npm run gen\`.\n${stringify(manifest(source), { aliasDuplicateObjects: false, lineWidth: 0 })}`,
  ]),
);

mkdirSync(folder, { recursive: true });
const changed = [...files].filter(([name, text]) => {
  const file = path.join(folder, name);
  return !existsSync(file) || readFileSync(file, "utf8") !== text;
});
const stale = readdirSync(folder).filter((name) => !files.has(name));
if (checkOnly && changed.length + stale.length > 0) {
  const names = [...changed.map(([name]) => name), ...stale].join(", ");
  console.error(
    `manifests/crds/ is not what manifests/schemas/ generates (${names}): run \`npm run gen\` and commit the result`,
  );
  process.exit(1);
}
if (!checkOnly) {
  for (const [name, text] of changed) writeFileSync(path.join(folder, name), text);
  for (const name of stale) rmSync(path.join(folder, name));
}
