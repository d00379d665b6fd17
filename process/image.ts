/**
 * Writes the platform's container images as one OCI archive, without a container engine: the pinned Node with the
 * shared libraries it needs, and the bundles. Five images share all their layers and differ in what they run; the
 * sidecar's has a layer of its own.
 *
 *   npm run image:build -- [--out FILE] [--registry NAME]
 *
 * `skopeo copy oci-archive:FILE:NAME docker://…`, `ctr images import FILE`, `podman load -i FILE` and
 * `docker load -i FILE` take it.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";
import { bundle, type Bundles } from "./bundle.ts";
import { tar, type TarEntry } from "./tar.ts";

/** A user that exists in no other file system: the one that distroless images use too. */
const user = 65_532;
export const imagePrograms = ["activator", "autoscaler", "autoscaler-hpa", "controller", "webhook"] as const;

export interface ImageInput {
  /** Program → bundle, whose chunks lie beside it. */
  bundles: Bundles;
  /** The Node that runs them. */
  node: string;
  /** `dev.local`: what stands before the first slash of the images' names. */
  registry: string;
  version: string;
  /** 0 to 9; default 6. */
  compression?: number;
}

interface Blob {
  mediaType: string;
  digest: string;
  size: number;
  bytes: Buffer;
}
type Descriptor = Omit<Blob, "bytes">;

interface Layer extends Blob {
  /** Digest of the uncompressed archive. */
  diffId: string;
  made: string;
}

/** The archive's bytes. Throws when the Node cannot run in an image of its own: on musl, or not on Linux. */
export function ociArchive({ bundles, node, registry, version, compression = 6 }: ImageInput): Buffer {
  const base = layer(runtimeFiles(node), "Node and its libraries", compression);
  const platform = layer(programFiles(bundles, imagePrograms), "the platform's programs", compression);
  const sidecar = layer(programFiles(bundles, ["queue-proxy"]), "the sidecar", compression);
  const images = [
    ...imagePrograms.map((program) => ({ program: program as string, layers: [base, platform] })),
    { program: "queue-proxy", layers: [base, sidecar] },
  ].map(({ program, layers }) => {
    const name = `${registry}/swell-${program}:${version}`;
    const config = jsonBlob("application/vnd.oci.image.config.v1+json", {
      architecture: architectures[process.arch] ?? process.arch,
      os: "linux",
      config: {
        User: `${user}:${user}`,
        Env: ["PATH=/usr/local/bin:/usr/bin:/bin", "NODE_ENV=production"],
        Entrypoint: ["/usr/local/bin/node", `/swell/${program}.mjs`],
        WorkingDir: "/",
        Labels: { "org.opencontainers.image.title": `swell-${program}`, "org.opencontainers.image.version": version },
      },
      rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
      history: layers.map(({ made }) => ({ created_by: `process/image.ts: ${made}` })),
    });
    const manifest = jsonBlob("application/vnd.oci.image.manifest.v1+json", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: descriptor(config),
      layers: layers.map(descriptor),
    });
    return { name, config, manifest, layers };
  });
  const index = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: images.map(({ name, manifest }) => ({
      ...descriptor(manifest),
      platform: { architecture: architectures[process.arch] ?? process.arch, os: "linux" },
      annotations: {
        "org.opencontainers.image.ref.name": name,
        // What containerd names the image by.
        "io.containerd.image.name": name,
      },
    })),
  };
  // Docker before version 25 reads this one, which names the same blobs.
  const dockerManifest = images.map(({ name, config, layers }) => ({
    Config: blobPath(config),
    RepoTags: [name],
    Layers: layers.map(blobPath),
  }));
  const blobs = new Map(
    images.flatMap(({ config, manifest, layers }) => [config, manifest, ...layers]).map((blob) => [blob.digest, blob]),
  );
  const json = (name: string, value: unknown): TarEntry => ({
    is: "file",
    path: name,
    content: Buffer.from(JSON.stringify(value)),
  });
  return tar([
    json("oci-layout", { imageLayoutVersion: "1.0.0" }),
    json("index.json", index),
    json("manifest.json", dockerManifest),
    { is: "folder", path: "blobs" },
    { is: "folder", path: "blobs/sha256" },
    ...[...blobs.values()]
      .toSorted((a, b) => (a.digest < b.digest ? -1 : 1))
      .map((blob): TarEntry => ({ is: "file", path: blobPath(blob), content: blob.bytes })),
  ]);
}

/** Node's names → OCI's. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const blobPath = ({ digest }: Descriptor): string => `blobs/${digest.replace(":", "/")}`;
const descriptor = ({ mediaType, digest, size }: Descriptor): Descriptor => ({ mediaType, digest, size });

function jsonBlob(mediaType: string, value: unknown): Blob {
  const bytes = Buffer.from(JSON.stringify(value));
  return { mediaType, digest: sha256(bytes), size: bytes.length, bytes };
}

function layer(entries: readonly TarEntry[], made: string, level: number): Layer {
  const archive = tar(entries);
  const bytes = gzipSync(archive, { level });
  return {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: sha256(bytes),
    size: bytes.length,
    bytes,
    diffId: sha256(archive),
    made,
  };
}

/** Node, the libraries that its loader would find on this machine, a user and a place for temporary files. */
function runtimeFiles(node: string): TarEntry[] {
  const text = (file: string, content: string): TarEntry => ({ is: "file", path: file, content: Buffer.from(content) });
  const files: TarEntry[] = [
    { is: "file", path: "usr/local/bin/node", content: readFileSync(node), mode: 0o755 },
    text(
      "etc/passwd",
      `root:x:0:0:root:/root:/sbin/nologin\nswell:x:${user}:${user}:swell:/nonexistent:/sbin/nologin\n`,
    ),
    text("etc/group", `root:x:0:\nswell:x:${user}:\n`),
    text("etc/nsswitch.conf", "hosts: files dns\n"),
    { is: "folder", path: "tmp", mode: 0o1777 },
  ];
  for (const library of sharedLibraries(node))
    files.push({ is: "file", path: library.slice(1), content: readFileSync(realpathSync(library)), mode: 0o755 });
  return withFolders(files);
}

/** Absolute paths, the loader's own among them, as `ldd` finds them. Links are followed when they are copied. */
export function sharedLibraries(program: string): string[] {
  const { stdout, status, error } = spawnSync("ldd", [program], { encoding: "utf8" });
  if (error !== undefined || status !== 0)
    throw new Error(`cannot ask ldd what ${program} needs`, error === undefined ? {} : { cause: error });
  const found = new Set<string>();
  for (const line of stdout.split("\n")) {
    if (line.includes("not found")) throw new Error(`${program} lacks a library: ${line.trim()}`);
    const [, file] = /(?:=>\s+|^\s+)(\/\S+)\s+\(/u.exec(line) ?? [];
    if (file !== undefined) found.add(path.normalize(file));
  }
  if (![...found].some((file) => path.basename(file).startsWith("libc.so.6")))
    throw new Error(`${program} does not run on glibc here: build the images on a Debian, or with the Dockerfile`);
  // What name look-ups load when they are made, where they are not part of libc.
  const folder = path.dirname([...found].find((file) => path.basename(file) === "libc.so.6")!);
  for (const extra of ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"])
    if (existsSync(path.join(folder, extra))) found.add(path.join(folder, extra));
  return [...found].sort();
}

function programFiles(bundles: Bundles, names: readonly string[]): TarEntry[] {
  const files = [...imageFiles(bundles, names)].map(([name, from]): TarEntry => ({
    is: "file",
    path: `swell/${name}`,
    content: readFileSync(from),
  }));
  return withFolders(files);
}

/** Name in an image's folder → file. Programs go by their own names there, so that no hash is in a manifest. */
export function imageFiles(bundles: Bundles, names: readonly string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const name of names) {
    const file = bundles[name];
    if (file === undefined) throw new Error(`there is no bundle of ${name}`);
    const [entry = "", ...chunks] = withChunks(file);
    files.set(`${name}.mjs`, path.join(path.dirname(file), entry));
    for (const chunk of chunks) files.set(chunk, path.join(path.dirname(file), chunk));
  }
  return files;
}

/** File names of a bundle and of every chunk that it may import. */
function withChunks(file: string): string[] {
  const folder = path.dirname(file);
  const found = [path.basename(file)];
  for (const part of found)
    for (const [, chunk = ""] of readFileSync(path.join(folder, part), "utf8").matchAll(
      /["']\.\/(chunk-[\w.-]+\.mjs)["']/gu,
    ))
      if (!found.includes(chunk) && existsSync(path.join(folder, chunk))) found.push(chunk);
  return found;
}

/** Sorted, each folder before what is in it. */
function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  for (const entry of entries)
    for (let folder = path.dirname(entry.path); folder !== "."; folder = path.dirname(folder))
      if (!byPath.has(folder)) byPath.set(folder, { is: "folder", path: folder });
  return [...byPath.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

if (process.argv[1] !== undefined && import.meta.filename === path.resolve(process.argv[1])) {
  const root = path.dirname(import.meta.dirname);
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: path.join(root, "dist", "swell-images.tar") },
      registry: { type: "string", default: "dev.local" },
    },
  });
  const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
  const archive = ociArchive({
    bundles: await bundle(),
    node: process.execPath,
    registry: values.registry.replace(/\/$/u, ""),
    version,
  });
  mkdirSync(path.dirname(path.resolve(values.out)), { recursive: true });
  writeFileSync(values.out, archive);
  console.log(`${values.out}  ${(archive.length / 2 ** 20).toFixed(1)} MiB  ${sha256(archive)}`);
  for (const program of [...imagePrograms, "queue-proxy"])
    console.log(`  ${values.registry}/swell-${program}:${version}`);
}
