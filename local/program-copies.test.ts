import { test } from "tap";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { copyPrograms } from "./program-copies.ts";

test("a program is copied with every chunk it may import, and with nothing of others", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-programs-"));
  const dist = path.join(folder, "dist");
  mkdirSync(dist);
  const write = (file: string, text: string) => writeFileSync(path.join(dist, file), text);
  write("a-1.mjs", 'import{x}from"./chunk-one-1.mjs";const y=()=>import("./chunk-two-2.mjs");');
  write("b-1.mjs", "");
  write("chunk-one-1.mjs", 'import"./chunk-three-3.mjs"');
  write("chunk-two-2.mjs", "");
  write("chunk-three-3.mjs", 'import "./chunk-one-1.mjs"');
  write("chunk-other-4.mjs", "");
  const copies = path.join(folder, "copies");
  const first = copyPrograms({ a: path.join(dist, "a-1.mjs"), b: path.join(dist, "b-1.mjs") }, copies);
  t.same(first, { a: path.join(copies, "a", "a-1.mjs"), b: path.join(copies, "b", "b-1.mjs") });
  const chunks = ["chunk-one-1.mjs", "chunk-three-3.mjs", "chunk-two-2.mjs"];
  t.same(readdirSync(path.join(copies, "a")).sort(), ["a-1.mjs", ...chunks]);
  t.same(readdirSync(path.join(copies, "b")), ["b-1.mjs"]);

  write("a-2.mjs", "");
  copyPrograms({ a: path.join(dist, "a-2.mjs") }, copies);
  t.same(readdirSync(path.join(copies, "a")), ["a-2.mjs"], "what it no longer needs is gone");
  rmSync(folder, { recursive: true });
});
