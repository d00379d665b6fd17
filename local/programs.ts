/** What `npm start` prepares before it starts a cluster: the programs' bundles and the manifests as JSON. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Manifests } from "./install.ts";

/** The project's folders that end up in a bundle. */
const sourceFolders = [
  "activator",
  "api",
  "autoscaler",
  "controller",
  "kube",
  "local",
  "process",
  "proto",
  "proxy",
  "queue-proxy",
];

export interface Prepared {
  /** Program name → absolute path of its bundle. */
  bundles: Readonly<Record<string, string>>;
  manifests: Manifests;
  /** False when what an earlier start made was still good. */
  isNew: boolean;
}

/** Bundles and reads the manifests, or takes what is in `dist/` when nothing changed since. */
export async function prepare(root: string): Promise<Prepared> {
  const dist = path.join(root, "dist");
  const record = path.join(dist, "prepared.json");
  const inputs = inputHash(root);
  const known = readRecord(record);
  if (known?.inputs === inputs && Object.values(known.bundles).every((file) => existsSync(file)))
    return { bundles: known.bundles, manifests: known.manifests, isNew: false };

  const [{ bundle }, { readManifests }] = await Promise.all([
    import("../process/bundle.ts"),
    import("./manifest-files.ts"),
  ]);
  const bundling = bundle(dist);
  const manifests = readManifests(path.join(root, "manifests"));
  const bundles = await bundling;
  writeFileSync(record, JSON.stringify({ inputs, bundles, manifests }));
  return { bundles, manifests, isNew: true };
}

function inputHash(root: string): string {
  const hash = createHash("sha256");
  const add = (file: string) =>
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(root, file)))
      .update("\0");
  add("package-lock.json");
  for (const folder of [...sourceFolders, "manifests"]) {
    if (!existsSync(path.join(root, folder))) continue;
    const files = readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" });
    for (const file of files.sort())
      if (/\.(ts|yaml|json)$/.test(file) && !file.endsWith(".test.ts")) add(path.join(folder, file));
  }
  return hash.digest("hex");
}

interface Recorded {
  inputs: string;
  bundles: Record<string, string>;
  manifests: Manifests;
}

function readRecord(file: string): Recorded | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Recorded;
  } catch {
    return undefined; // the first start, or half written
  }
}
