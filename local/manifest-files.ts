/** Reads the manifests. Apart from installing them, so that only the preparing process loads a YAML parser. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import type { KubeObject } from "../api/meta.ts";
import type { Manifests } from "./install.ts";

/** Reads `crds/*.yaml` and `core/*.yaml` below `folder`, each in order of file name. */
export function readManifests(folder: string): Manifests {
  const read = (part: string) =>
    readdirSync(path.join(folder, part))
      .filter((file) => file.endsWith(".yaml"))
      .sort()
      .flatMap((file) => parseManifest(readFileSync(path.join(folder, part, file), "utf8"), `${part}/${file}`));
  return { crds: read("crds"), core: read("core") };
}

/** `origin` is for the message of a syntax error. */
export function parseManifest(text: string, origin: string): KubeObject[] {
  return parseAllDocuments(text).flatMap((document): KubeObject[] => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`manifests/${origin}: ${error.message}`, { cause: error });
    const object = document.toJS() as KubeObject | null;
    return object === null ? [] : [object];
  });
}
