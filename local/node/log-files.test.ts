import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type Test } from "tap";
import { finishedParts, LogFile, type LogPart } from "./log-files.ts";
import { readLog, select, type LogOptions } from "./log-reader.ts";

function fresh(t: Test, maxBytes?: number): LogFile {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-log-"));
  const log = new LogFile(path.join(folder, "0.log"), maxBytes);
  const keepsLoopAlive = setTimeout(() => {}, 60_000); // a watched file does not
  t.teardown(() => {
    clearTimeout(keepsLoopAlive);
    log.close();
    rmSync(folder, { recursive: true });
  });
  return log;
}
const plain: LogOptions = { follow: false, timestamps: false };
const never = new AbortController().signal;

async function text(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  let all = "";
  for await (const chunk of chunks) all += Buffer.from(chunk).toString();
  return all;
}

test("lines are selected by time and number", (t) => {
  const part: LogPart = {
    bytes: Buffer.from("one\ntwo\nthree\nfour"),
    marks: [
      { offset: 0, atMs: 1000 },
      { offset: 8, atMs: 5000 },
      { offset: 14, atMs: 9000 },
    ],
  };
  const rows: { name: string; options: Partial<LogOptions>; want: string[] }[] = [
    { name: "all of them", options: {}, want: ["one\n", "two\n", "three\n", "four"] },
    { name: "those since", options: { sinceSeconds: 5 }, want: ["three\n", "four"] },
    { name: "the last", options: { tailLines: 1 }, want: ["four"] },
    { name: "none", options: { tailLines: 0 }, want: [] },
    { name: "the last of those since", options: { sinceSeconds: 5, tailLines: 5 }, want: ["three\n", "four"] },
  ];
  for (const { name, options, want } of rows)
    t.same(
      select([part], { ...plain, ...options }, 10_000).map(({ bytes }) => bytes.toString()),
      want,
      name,
    );
  t.end();
});

test("timestamps and a limit", async (t) => {
  const log = fresh(t);
  appendFileSync(log.path, "one\ntwo\n");
  t.match(
    await text(readLog(log.parts(), log, { ...plain, timestamps: true }, never)),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z one\n\d{4}-\d\d-\d\dT[\d:.]+Z two\n$/,
  );
  t.equal(await text(readLog(log.parts(), log, { ...plain, limitBytes: 5 }, never)), "one\nt");
});

test("a follower gets what comes later, whole lines with their times, until the end", async (t) => {
  const log = fresh(t);
  appendFileSync(log.path, "one\n");
  const followed = text(readLog(log.parts(), log, { ...plain, follow: true, timestamps: true }, never));
  appendFileSync(log.path, "tw");
  await new Promise<void>((resolve) => log.onGrowth(resolve));
  appendFileSync(log.path, "o\nthr");
  await new Promise<void>((resolve) => log.onGrowth(resolve));
  log.close();
  t.match(await followed, /^\S+Z one\n\S+Z two\n\S+Z thr$/);
  t.equal(finishedParts(log.path)[0]?.bytes.toString(), "one\ntwo\nthr", "it is there when the process is gone");
});

test("a log that grows too large is moved aside, and a follower goes on", async (t) => {
  const log = fresh(t, 10);
  const followed = text(readLog(log.parts(), log, { ...plain, follow: true }, never));
  appendFileSync(log.path, "first line\n");
  log.note();
  appendFileSync(log.path, "second\n");
  log.close();
  t.match(await followed, "second\n");
  t.equal(Buffer.concat(finishedParts(log.path).map(({ bytes }) => bytes)).toString(), "first line\nsecond\n");
});

test("the tail has whole lines, few enough", (t) => {
  const log = fresh(t);
  appendFileSync(log.path, "one\ntwo\nthree\n");
  t.equal(log.tail(2048, 80), "one\ntwo\nthree");
  t.equal(log.tail(8, 80), "three");
  t.equal(log.tail(2048, 2), "two\nthree");
  t.end();
});
