/** The programs that a cluster's pods run: copies of the bundles in its data folder. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";

/**
 * Copies the programs into `folder`, one folder each, and returns program → copied bundle. A running cluster starts
 * pods from its own copies, whatever is bundled meanwhile.
 */
export function copyPrograms(bundles: Readonly<Record<string, string>>, folder: string): Record<string, string> {
  const copies: Record<string, string> = {};
  for (const [name, bundle] of Object.entries(bundles)) {
    const own = path.join(folder, name);
    mkdirSync(own, { recursive: true });
    const files = new Set(withChunks(bundle));
    for (const present of readdirSync(own)) if (!files.has(present)) rmSync(path.join(own, present));
    // Their names carry a hash of their content, so a file that is there is the right one.
    for (const file of files)
      if (!existsSync(path.join(own, file))) cpSync(path.join(path.dirname(bundle), file), path.join(own, file));
    copies[name] = path.join(own, path.basename(bundle));
  }
  return copies;
}

/** File names of a bundle and of every chunk that it may import. */
function withChunks(bundle: string): string[] {
  const folder = path.dirname(bundle);
  const found = [path.basename(bundle)];
  for (const file of found) {
    const text = readFileSync(path.join(folder, file), "utf8");
    for (const [, chunk] of text.matchAll(/["']\.\/(chunk-[\w.-]+\.mjs)["']/g))
      if (!found.includes(chunk!) && existsSync(path.join(folder, chunk!))) found.push(chunk!);
  }
  return found;
}
