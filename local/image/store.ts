/**
 * The local image store: a folder with one JSON file per image. An image is a plain directory that is run where it
 * lies, plus the command and environment that an image configuration would carry, plus a digest over both.
 */
import { createHash } from "node:crypto";
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { formatReference, parseReference } from "./reference.ts";

export interface ImageEntry {
  /** `dev.local/NAME:TAG`. */
  name: string;
  /** Absolute; the working directory of its processes. */
  directory: string;
  /** ENTRYPOINT and CMD in one: replaced by a container's `command`. */
  command: string[];
  env: Record<string, string>;
  /** `sha256:…` over the files and the configuration. */
  digest: string;
  /** RFC 3339. */
  added: string;
}

export interface NewImage {
  /** `NAME[:TAG]`, with or without `dev.local/` before it. */
  name: string;
  directory: string;
  command: string[];
  env?: Record<string, string>;
}

/** What the person who adds an image did wrong. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}

/** Where the images of the local cluster with this data folder are. */
export const imageFolder = (data: string): string => path.join(data, "images");

export class ImageStore {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = path.resolve(folder);
    mkdirSync(this.folder, { recursive: true });
  }

  /** Adds or replaces. Throws {@link ImageError} for a bad name, a missing directory or an empty command. */
  add(image: NewImage): ImageEntry {
    const reference = parseReference(image.name.startsWith("dev.local/") ? image.name : `dev.local/${image.name}`);
    if (reference.is === "malformed" || reference.digest !== undefined)
      throw new ImageError(
        `bad image name ${JSON.stringify(image.name)}: want lower-case letters, digits and . _ - / with an optional :TAG, for example shop or shop:v2`,
      );
    const directory = path.resolve(image.directory);
    const stat = statSync(directory, { throwIfNoEntry: false });
    if (stat === undefined) throw new ImageError(`directory ${directory} does not exist`);
    if (!stat.isDirectory()) throw new ImageError(`${directory} is not a directory`);
    if (image.command.length === 0) throw new ImageError(`the command is empty; give one, for example "node app.js"`);
    const name = formatReference(reference);
    const env = image.env ?? {};
    const digest = `sha256:${createHash("sha256")
      .update(JSON.stringify({ command: image.command, env }))
      .update(contentDigest(directory))
      .digest("hex")}`;
    const old = this.#read(name);
    const entry: ImageEntry = {
      name,
      directory,
      command: [...image.command],
      env,
      digest,
      added: new Date().toISOString(),
    };
    // An unchanged file wakes nobody who watches the folder.
    if (old !== undefined && old.digest === digest && old.directory === directory) return old;
    const file = this.#file(name);
    writeFileSync(`${file}.new`, `${JSON.stringify(entry, null, 2)}\n`);
    renameSync(`${file}.new`, file);
    return entry;
  }

  /** By name. */
  list(): ImageEntry[] {
    const entries: ImageEntry[] = [];
    for (const file of readdirSync(this.folder).sort()) {
      if (!file.endsWith(".json")) continue;
      const entry = parseEntry(path.join(this.folder, file));
      if (entry !== undefined) entries.push(entry);
    }
    return entries;
  }

  /** False when there is no such image. */
  remove(name: string): boolean {
    const reference = parseReference(name.startsWith("dev.local/") ? name : `dev.local/${name}`);
    if (reference.is === "malformed") return false;
    const file = this.#file(formatReference(reference));
    if (statSync(file, { throwIfNoEntry: false }) === undefined) return false;
    rmSync(file);
    return true;
  }

  /**
   * The image behind the `image` field of a container: `dev.local/x`, `dev.local/x:tag` or `dev.local/x@sha256:…`.
   * A digest finds an image only while it is the digest of what was added last. Reads the disk: never stale.
   */
  resolve(image: string): ImageEntry | undefined {
    const reference = parseReference(image);
    if (reference.is === "malformed") return undefined;
    const { digest } = reference;
    if (digest === undefined) return this.#read(formatReference(reference));
    const prefix = `dev.local/${reference.repository}:`;
    return this.list().find((entry) => entry.digest === digest && entry.name.startsWith(prefix));
  }

  /** Why {@link resolve} finds nothing, and what to do about it. */
  explainMissing(image: string): string {
    const reference = parseReference(image);
    if (reference.is === "malformed") {
      const short = (image.split("@")[0] ?? "").split("/").at(-1)?.split(":")[0] ?? "";
      const name = /^[a-z0-9][a-z0-9._-]*$/.test(short) ? short : "NAME";
      return `image ${JSON.stringify(image)} is not in the local image store, which holds only dev.local/…; add it with: npm run image -- add ${name} DIR --cmd "node app.js" and use dev.local/${name}`;
    }
    const tag = reference.tag === "latest" ? "" : `:${reference.tag}`;
    const add = `npm run image -- add ${reference.repository}${tag} DIR --cmd "node app.js"`;
    const current = reference.digest === undefined ? undefined : this.#read(formatReference(reference));
    if (current !== undefined)
      return `image ${JSON.stringify(image)} is not in the local image store: ${current.name} has digest ${current.digest} now`;
    return `image ${JSON.stringify(image)} is not in the local image store; add it with: ${add}`;
  }

  /** Calls back when images came, went or changed, also by another process. */
  onChange(listener: () => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    const watcher = watch(this.folder, { persistent: false }, (_event, file) => {
      if (file === null || file.endsWith(".json")) listener();
    });
    watcher.on("error", () => watcher.close()); // the folder went away: nothing can change in it
    signal.addEventListener("abort", () => watcher.close(), { once: true });
  }

  #file(name: string): string {
    return path.join(this.folder, `${encodeURIComponent(name.slice("dev.local/".length))}.json`);
  }

  #read(name: string): ImageEntry | undefined {
    return parseEntry(this.#file(name));
  }
}

function parseEntry(file: string): ImageEntry | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as ImageEntry;
  } catch {
    return undefined; // gone, or not ours
  }
}

/** SHA-256 over paths, modes, contents and link targets, in an order that does not depend on the file system. */
function contentDigest(directory: string): string {
  const hash = createHash("sha256");
  const walk = (folder: string, prefix: string): void => {
    const children = readdirSync(folder, { withFileTypes: true });
    children.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      const name = `${prefix}${child.name}`;
      const full = path.join(folder, child.name);
      if (child.isDirectory()) {
        if (child.name === ".git") continue;
        hash.update(`d ${name}\0`);
        walk(full, `${name}/`);
      } else if (child.isSymbolicLink()) hash.update(`l ${name}\0${readlinkSync(full)}\0`);
      else if (child.isFile()) {
        const bytes = readFileSync(full);
        hash.update(`f ${name}\0${statSync(full).mode & 0o111 ? "x" : "-"} ${bytes.length}\0`).update(bytes);
      }
    }
  };
  walk(directory, "");
  return hash.digest("hex");
}
