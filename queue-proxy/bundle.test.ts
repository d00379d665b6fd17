import path from "node:path";
import { build } from "esbuild";
import { test } from "tap";

const root = path.dirname(import.meta.dirname);

test("the sidecar's bundle", async (t) => {
  const { metafile } = await build({
    entryPoints: [path.join(root, "queue-proxy/main.ts")],
    absWorkingDir: root,
    outdir: "out",
    write: false,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    metafile: true,
    logLevel: "silent",
  });
  const rooms = new Set(
    Object.keys(metafile.inputs)
      .filter((file) => !file.startsWith("node_modules/"))
      .map((file) => file.split("/")[0]),
  );
  t.strictSame(
    [...rooms].sort((a, b) => (a! < b! ? -1 : 1)),
    ["process", "proxy", "queue-proxy"],
    "imports nothing of the cluster",
  );

  // What is loaded before the main port listens: the entry and what it imports statically.
  const outputs = metafile.outputs;
  const entry = Object.keys(outputs).find((file) => outputs[file]!.entryPoint !== undefined)!;
  const loaded = new Set<string>();
  const visit = (file: string): void => {
    if (loaded.has(file) || outputs[file] === undefined) return;
    loaded.add(file);
    for (const { path: next, kind } of outputs[file].imports) if (kind === "import-statement") visit(next);
  };
  visit(entry);
  t.strictSame([...loaded], [entry], "is one file: each further one costs every start");
  const inputs = [...loaded].flatMap((file) => Object.keys(outputs[file]!.inputs));
  t.strictSame(
    inputs.filter((file) => file.startsWith("node_modules/")),
    [],
    "starts without any library",
  );
  t.strictSame(
    Object.keys(metafile.inputs).filter((file) => file.startsWith("node_modules/")),
    [],
    "nor needs one later",
  );
  const externals = [...loaded].flatMap((file) =>
    outputs[file]!.imports.filter((entry) => entry.external === true).map((entry) => entry.path),
  );
  // An import of it loads a fetch implementation, see proxy/engine/builtins.ts.
  t.notOk(externals.includes("node:http"), "takes node:http without an import");
});
