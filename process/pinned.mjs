#!/usr/bin/env node
// Runs a script of this project on the Node that the lock file pins, after installing the dependencies
// where they are missing. Plain JavaScript for any Node 18 or newer: it is the first file that runs on a
// machine that has nothing but an old Node and npm.
//
//   node process/pinned.mjs SCRIPT.ts [ARGS]      run a script
//   node process/pinned.mjs --bin TOOL [ARGS]     run a tool of node_modules/.bin
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const modules = path.join(root, "node_modules");
const stamp = path.join(modules, ".swell-lock");

installIfChanged();
const node = pinnedNode();
const [first, ...rest] = process.argv.slice(2);
if (first === undefined) fail("usage: node process/pinned.mjs SCRIPT.ts [ARGS] | --bin TOOL [ARGS]");
const args = first === "--bin" ? [toolScript(rest[0]), ...rest.slice(1)] : [path.join(root, first), ...rest];

const child = spawn(node, args, {
  stdio: "inherit",
  env: { ...process.env, PATH: `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ""}` },
});
// The terminal sends Ctrl-C to the whole group, so the child hears it by itself; this process only has to
// outlive it. A signal sent to this process alone is passed on.
process.on("SIGINT", () => {
  if (!process.stdin.isTTY) child.kill("SIGINT");
});
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => fail(`cannot run ${node}: ${error.message}`));
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});

/** Installs when package-lock.json is not the one that node_modules was made from. */
function installIfChanged() {
  const lock = createHash("sha256")
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  process.stderr.write("Installing dependencies (npm install) …\n");
  const startedMs = Date.now();
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const flags = [
    "install",
    "--no-save",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
    "--engine-strict=false",
    "--ignore-scripts",
  ];
  const result = spawnSync(npm, flags, { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.error !== undefined) fail(`cannot run npm: ${result.error.message}`);
  if (result.status !== 0) fail(`npm install failed with exit code ${result.status}`);
  writeFileSync(stamp, lock);
  process.stderr.write(`Installed in ${((Date.now() - startedMs) / 1000).toFixed(1)} s\n`);
}

function pinnedNode() {
  const binary = path.join(modules, `node-${process.platform}-${process.arch}`, "bin", "node");
  if (existsSync(binary)) return binary;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(
    `no pinned Node for ${process.platform}-${process.arch}: install Node 24 or newer and run the same command again`,
  );
}

function toolScript(tool) {
  if (tool === undefined) return fail("--bin needs the name of a tool");
  const script = path.join(modules, ".bin", tool);
  return existsSync(script) ? script : fail(`node_modules/.bin/${tool} does not exist`);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
