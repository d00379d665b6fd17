/** The OCI archive as a container engine would read it, and its root file system as a kernel would run it. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { test } from "tap";
import { bundle } from "./bundle.ts";
import { ociArchive } from "./image.ts";
import { tar, untar, type TarEntry } from "./tar.ts";

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}
const names = ["activator", "autoscaler", "autoscaler-hpa", "controller", "webhook", "queue-proxy"];

/** The blobs of an archive, each checked against the name it goes by. */
function readArchive(archive: Buffer) {
  const files = new Map(
    untar(archive).flatMap((entry) => (entry.is === "file" ? [[entry.path, Buffer.from(entry.content)] as const] : [])),
  );
  const json = (name: string): unknown => JSON.parse(files.get(name)!.toString());
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const bytes = files.get(`blobs/${digest.replace(":", "/")}`);
    if (bytes === undefined) throw new Error(`no blob ${digest}`);
    if (bytes.length !== size || sha256(bytes) !== digest) throw new Error(`blob ${digest} is not what it says`);
    return bytes;
  };
  const { manifests } = json("index.json") as { manifests: Descriptor[] };
  const unzipped = new Map<string, { archive: Buffer; diffId: string }>();
  const layerOf = (layer: Descriptor): { archive: Buffer; diffId: string } => {
    const archive = unzipped.get(layer.digest)?.archive ?? gunzipSync(blob(layer));
    const found = unzipped.get(layer.digest) ?? { archive, diffId: sha256(archive) };
    unzipped.set(layer.digest, found);
    return found;
  };
  return {
    json,
    images: manifests.map((found) => {
      const manifest = JSON.parse(blob(found).toString()) as { config: Descriptor; layers: Descriptor[] };
      const layers = manifest.layers.map(layerOf);
      return {
        name: found.annotations?.["org.opencontainers.image.ref.name"] ?? "",
        config: JSON.parse(blob(manifest.config).toString()) as {
          os: string;
          config: { User: string; Entrypoint: string[]; Env: string[] };
          rootfs: { diff_ids: string[] };
        },
        digests: manifest.layers.map(({ digest }) => digest),
        layers: layers.map(({ archive: content }) => content),
        diffIds: layers.map(({ diffId }) => diffId),
      };
    }),
  };
}
const sha256 = (bytes: Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

/** Unpacks as an engine does: later layers over earlier ones. */
function unpack(layers: readonly Buffer[], folder: string): void {
  for (const entry of layers.flatMap((layer) => untar(layer))) {
    const target = path.join(folder, entry.path);
    if (entry.is === "folder") mkdirSync(target, { recursive: true });
    else if (entry.is === "link") symlinkSync(entry.target, target);
    else writeFileSync(target, entry.content);
    if (entry.is !== "link") chmodSync(target, entry.mode);
  }
}

test("a tar archive comes back as it went in, and tar itself reads it", (t) => {
  const long = `${"folder/".repeat(20)}file`;
  const entries: TarEntry[] = [
    { is: "folder", path: "a", mode: 0o1777 },
    { is: "file", path: "a/empty", content: new Uint8Array() },
    { is: "file", path: "a/run", content: Buffer.from("x".repeat(513)), mode: 0o755 },
    { is: "link", path: "a/link", target: "run" },
    { is: "file", path: long, content: Buffer.from("far down") },
  ];
  const archive = tar(entries);
  const back = untar(archive);
  t.same(
    back.map(({ is, path: name }) => `${is} ${name}`),
    ["folder a/", "file a/empty", "file a/run", "link a/link", `file ${long}`],
  );
  t.equal(back[2]?.mode, 0o755);
  const { stdout, status } = spawnSync("tar", ["-tvf", "-"], { input: archive, encoding: "utf8" });
  t.equal(status, 0);
  t.match(stdout, /drwxrwxrwt 0\/0/u);
  t.match(stdout, /a\/link -> run/u);
  t.throws(() => tar([{ is: "file", path: "n".repeat(101), content: new Uint8Array() }]), /too long/u);
  const broken = Buffer.from(archive);
  broken[0] = 0x7a;
  t.throws(() => untar(broken), /checksum/u);
  t.end();
});

test("the images are what an engine expects, and run", { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-image-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const bundles = await bundle(path.join(folder, "dist"));
  const input = { bundles, node: process.execPath, registry: "dev.local", version: "1.2.3", compression: 0 };
  const archive = ociArchive(input);
  const { images, json } = readArchive(archive);

  t.same(json("oci-layout"), { imageLayoutVersion: "1.0.0" });
  t.same(
    images.map(({ name }) => name),
    names.map((name) => `dev.local/swell-${name}:1.2.3`),
  );
  t.same(
    (json("manifest.json") as { RepoTags: string[] }[]).flatMap(({ RepoTags }) => RepoTags),
    images.map(({ name }) => name),
  );
  for (const [at, { config, layers, diffIds }] of images.entries()) {
    t.equal(config.os, "linux");
    t.equal(config.config.User, "65532:65532", "a number, so that a kubelet can tell it is not root");
    t.same(config.rootfs.diff_ids, diffIds);
    t.same(config.config.Entrypoint, ["/usr/local/bin/node", `/swell/${names[at]}.mjs`]);
    const present = layers.flatMap((layer) => untar(layer).map(({ path: name }) => `/${name}`));
    for (const file of config.config.Entrypoint) t.ok(present.includes(file), file);
    t.ok(
      untar(layers[0]!).every(({ is, mode }) => is !== "file" || (mode & 0o022) === 0),
      "nothing that the user could write",
    );
  }
  t.equal(new Set(images.slice(0, 5).map(({ digests }) => digests.join())).size, 1, "five images share all layers");
  t.equal(images[5]?.digests[0], images[0]?.digests[0], "the sidecar shares Node");
  t.ok(images[5]!.layers[1]!.length < 2 * 2 ** 20, "and is small");

  // Any small program will do to see that nothing of the time or the machine's order gets in.
  const small = { ...input, node: "/bin/true" };
  t.equal(sha256(ociArchive(small)), sha256(ociArchive(small)), "built again it is the same");

  if (process.getuid?.() !== 0) {
    t.comment("not root: the root file systems were not run");
    return;
  }
  const chroot = spawnSync("sh", ["-c", "command -v chroot"], { encoding: "utf8" }).stdout.trim();
  const root = path.join(folder, "root");
  mkdirSync(root);
  unpack([images[0]!.layers[0]!], root);
  const run = (...command: string[]) =>
    // An empty environment: the test runner would put options for Node into it.
    spawnSync("env", ["-i", "PATH=/usr/local/bin", chroot, "--userspec=65532:65532", root, ...command], {
      encoding: "utf8",
      timeout: 20_000,
    });
  const version = run("/usr/local/bin/node", "--version");
  t.equal(version.stdout.trim(), process.version, version.stderr);
  for (const { name, config, layers } of images) {
    rmSync(path.join(root, "swell"), { recursive: true, force: true });
    unpack(layers.slice(1), root);
    // Without a cluster around it each program loads, looks at its environment and says what it lacks.
    const { status, stdout, stderr } = run(...config.config.Entrypoint);
    t.equal(status, 64, `${name}: ${stderr}`);
    t.match(stdout + stderr, /bad configuration/u, name);
  }
});
