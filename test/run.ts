// Runs the checks and prints `N passed, N failed`. With --check only what takes about a minute: format, lint, types,
// generated files, unit and chain tests; without it the end-to-end tests too. Further arguments name test files.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import path from "node:path";

const root = path.dirname(import.meta.dirname);
const pinned = path.join(root, "process", "pinned.mjs");
const checkOnly = process.argv.includes("--check");
const named = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

const total: Count = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];

function add(name: string, count: Count): void {
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  if (count.failed > 0) failures.push(name);
}

/** One command that passes or fails as a whole. */
async function step(name: string, args: string[]): Promise<void> {
  const startedMs = Date.now();
  const { code, output } = await run(args);
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
  console.log(`${code === 0 ? "ok" : "FAILED"}  ${name} (${seconds} s)`);
  if (code !== 0) console.log(output);
  add(name, { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 });
}

/** Test files under tap, counted by assertion. */
async function tests(name: string, files: string[], options: string[]): Promise<void> {
  if (files.length === 0) return;
  console.log(`..  ${name}: ${files.length} files`);
  const startedMs = Date.now();
  const { code, output } = await run(["--bin", "tap", "run", "--reporter=tap", ...options, ...files]);
  for (const line of failuresIn(output)) console.log(line);
  const counts = /# \{ total: \d+(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, skip: (\d+))?(?:, todo: \d+)? \}/.exec(
    output,
  );
  const count = {
    passed: Number(counts?.[1] ?? 0),
    failed: Number(counts?.[2] ?? 0),
    skipped: Number(counts?.[3] ?? 0),
  };
  // A file that died before its first assertion, or a runner that did: never a green run.
  if (code !== 0 && count.failed === 0) {
    count.failed = 1;
    console.log(output.slice(-2000));
  }
  console.log(`    ${count.passed} passed, ${count.failed} failed (${((Date.now() - startedMs) / 1000).toFixed(1)} s)`);
  add(name, count);
}

/** The failed assertions of a TAP stream, each with its diagnostics. */
function failuresIn(output: string): string[] {
  const lines: string[] = [];
  let isInside = false;
  for (const line of output.split("\n")) {
    if (/^\s*not ok/.test(line)) lines.push(line);
    else if (isInside || (/^\s*---$/.test(line) && /^\s*not ok/.test(lines.at(-1) ?? ""))) {
      isInside = !/^\s*\.\.\.$/.test(line);
      lines.push(line);
    }
  }
  return lines;
}

function run(args: string[]): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [pinned, ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

const allTests = globSync("**/*.test.ts", {
  cwd: root,
  exclude: ["node_modules/**", "dist/**", ".swell/**", ".tap/**"],
}).sort();
const endToEnd = allTests.filter((file) => file.startsWith(path.join("test", "e2e")));
const unit = allTests.filter((file) => !endToEnd.includes(file));

// tap keeps its compiled configuration in .tap/, which is not in the repository.
if (!existsSync(path.join(root, ".tap", "test")))
  spawnSync(process.execPath, [pinned, "--bin", "tap", "build"], { cwd: root, stdio: "ignore" });

if (named.length > 0) {
  await tests("named files", named, ["--jobs=1", "--timeout=600"]);
} else {
  await step("format", ["--bin", "oxfmt", "--check"]);
  await step("lint", ["--bin", "oxlint", "--type-aware", "--deny-warnings"]);
  await step("types", ["--bin", "tsc"]);
  await step("generated protocol", ["proto/generate.ts", "--check"]);
  await step("generated CRDs", ["manifests/generate.ts", "--check"]);
  await tests("unit and chain", unit, ["--timeout=120"]);
  if (!checkOnly) await tests("end to end", endToEnd, ["--jobs=1", "--timeout=420"]);
}

if (failures.length > 0) console.log(`failed: ${failures.join(", ")}`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
