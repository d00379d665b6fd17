// Writes proto/gen/ from the .proto files; with --check only says whether it would change anything.
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
  const stale = ["stats.ts", "upstream-stat.ts"].filter((name) => {
    const committed = path.join(folder, "gen", name);
    return !existsSync(committed) || readFileSync(committed, "utf8") !== readFileSync(path.join(out, name), "utf8");
  });
  rmSync(out, { recursive: true, force: true });
  if (stale.length > 0) {
    console.error(
      `proto/gen/: ${stale.join(", ")} differs from what is generated: run \`npm run gen\` and commit the result`,
    );
    process.exit(1);
  }
}
