/** Puts the programs' files where the Dockerfile takes them from: `platform/` and `sidecar/` below the given folder. */
import { cpSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { Bundles } from "./bundle.ts";
import { imageFiles, imagePrograms } from "./image.ts";

const [out] = process.argv.slice(2);
if (out === undefined) throw new Error("usage: image-folders.ts FOLDER, after process/bundle.ts");
const dist = path.join(path.dirname(import.meta.dirname), "dist");
const bundles = JSON.parse(readFileSync(path.join(dist, "programs.json"), "utf8")) as Bundles;
for (const [folder, names] of [
  ["platform", imagePrograms],
  ["sidecar", ["queue-proxy"]],
] as const) {
  mkdirSync(path.join(out, folder), { recursive: true });
  for (const [name, file] of imageFiles(bundles, names)) cpSync(file, path.join(out, folder, name));
}
