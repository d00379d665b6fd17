/**
 * Bundles the programs, `dist/<program>-<hash>.mjs` and the chunks they import, and lists them in `dist/programs.json`.
 * Local mode and the images run these: stripping types at run time costs every process memory and start-up time.
 */
import { build, type Metafile, type Plugin } from "esbuild";
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const root = path.dirname(import.meta.dirname);

/** Program name → entry file. */
export const programs: Readonly<Record<string, string>> = {
  activator: "activator/main.ts",
  autoscaler: "autoscaler/main.ts",
  "autoscaler-hpa": "autoscaler/hpa/main.ts",
  controller: "controller/main.ts",
  webhook: "controller/webhook/main.ts",
  "queue-proxy": "queue-proxy/main.ts",
  local: "local/cluster-main.ts",
};

/** Program name → absolute path of its bundle. */
export type Bundles = Readonly<Record<string, string>>;

/**
 * KubeConfig takes two names from the index of the generated API client, which would have 800 unused files read and
 * parsed for every program: it gets the two files that define them.
 */
const withoutApiClient: Plugin = {
  name: "without-api-client",
  setup(bundler) {
    const needed = ["configuration.js", "servers.js"];
    bundler.onResolve({ filter: /^\.\/gen\/index\.js$/ }, ({ importer, resolveDir }) =>
      importer.endsWith("@kubernetes/client-node/dist/config.js")
        ? { path: path.join(resolveDir, "gen"), namespace: "api-client" }
        : undefined,
    );
    bundler.onLoad({ filter: /./, namespace: "api-client" }, ({ path: folder }) => ({
      contents: needed.map((file) => `export * from "./${file}";`).join("\n"),
      resolveDir: folder,
    }));
  },
};

/**
 * The sidecar is bundled alone, since one starts in every pod: everything it needs at first is in one file. The others
 * are bundled together and share chunks, so that what they have in common is parsed once.
 */
const groups: readonly (readonly string[])[] = [
  ["queue-proxy"],
  Object.keys(programs).filter((name) => name !== "queue-proxy"),
];

export async function bundle(out = path.join(root, "dist")): Promise<Bundles> {
  mkdirSync(out, { recursive: true });
  const outputs = await Promise.all(groups.map((names) => bundleGroup(names, out)));
  const bundles: Record<string, string> = {};
  const current = new Set<string>();
  for (const [file, { entryPoint }] of outputs.flatMap((files) => Object.entries(files))) {
    current.add(path.basename(file));
    const name = Object.keys(programs).find((program) => programs[program] === entryPoint);
    if (name !== undefined) bundles[name] = path.resolve(file);
  }
  for (const name of Object.keys(programs))
    if (bundles[name] === undefined) throw new Error(`esbuild wrote no bundle for ${name}`);
  for (const file of readdirSync(out)) if (file.endsWith(".mjs") && !current.has(file)) rmSync(path.join(out, file));
  writeFileSync(path.join(out, "programs.json"), `${JSON.stringify(bundles, null, 2)}\n`);
  return bundles;
}

async function bundleGroup(names: readonly string[], out: string): Promise<Metafile["outputs"]> {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: Object.fromEntries(names.map((name) => [name, programs[name]!])),
    outdir: out,
    entryNames: "[name]-[hash]",
    // Code that a process needs only later (gRPC in a sidecar, say) is imported when it is needed.
    chunkNames: "chunk-[name]-[hash]",
    splitting: true,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    target: "node24",
    format: "esm",
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: "none",
    metafile: true,
    logLevel: "error",
    external: ["esbuild"],
    plugins: [withoutApiClient],
    banner: {
      js: 'import{createRequire as __createRequire}from"node:module";import{dirname as __dir}from"node:path";const require=__createRequire(import.meta.url),__filename=import.meta.filename,__dirname=__dir(__filename);',
    },
  });
  // Paths in the metafile are relative to the working folder.
  return Object.fromEntries(
    Object.entries(metafile.outputs).map(([file, output]) => [path.resolve(root, file), output]),
  );
}

if (process.argv[1] !== undefined && import.meta.filename === path.resolve(process.argv[1])) {
  const startedMs = Date.now();
  const bundles = await bundle();
  for (const [name, file] of Object.entries(bundles)) console.log(`${name.padEnd(14)} ${path.relative(root, file)}`);
  console.log(`bundled in ${Date.now() - startedMs} ms`);
}
