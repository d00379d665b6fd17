// Writes proto/gen/ from stats.proto; with --check only says whether it would change anything.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const folder = import.meta.dirname;
const bin = path.join(path.dirname(folder), "node_modules", ".bin");
const checkOnly = process.argv.includes("--check");
const out = checkOnly ? mkdtempSync(path.join(tmpdir(), "swell-proto-")) : path.join(folder, "gen");
const options = [
  "outputServices=grpc-js",
  "esModuleInterop=true",
  "importSuffix=.ts",
  "forceLong=number",
  "enumsAsLiterals=true",
  "oneof=unions-value",
  "useExactTypes=false",
  "outputJsonMethods=false",
  "outputPartialMethods=false",
  "removeEnumPrefix=true",
  "useOptionals=none",
  "env=node",
];
const template = JSON.stringify({
  version: "v2",
  plugins: [{ local: [process.execPath, path.join(bin, "protoc-gen-ts_proto")], out, opt: options }],
});
const result = spawnSync(path.join(bin, "buf"), ["generate", folder, "--template", template], {
  stdio: "inherit",
  env: { ...process.env, BUF_CACHE_DIR: path.join(tmpdir(), "swell-buf") },
});
if (result.status !== 0) process.exit(result.status ?? 1);
if (checkOnly) {
  const committed = path.join(folder, "gen", "stats.ts");
  const same =
    existsSync(committed) && readFileSync(committed, "utf8") === readFileSync(path.join(out, "stats.ts"), "utf8");
  rmSync(out, { recursive: true, force: true });
  if (!same) {
    console.error("proto/gen/stats.ts is not what stats.proto generates: run `npm run gen` and commit the result");
    process.exit(1);
  }
}
