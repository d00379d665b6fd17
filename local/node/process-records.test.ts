import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "tap";
import { isRunning, listeningInodes, listeningPorts, processTree, readStat } from "./proc.ts";
import { folderVariable, ProcessRecords } from "./process-records.ts";

/** A process that stays, after it printed something. */
async function stays(env: Record<string, string>, source = "console.log(1)"): Promise<ChildProcess> {
  const child = spawn(process.execPath, ["-e", `${source}; setInterval(() => {}, 1e9)`], {
    detached: true,
    env,
    stdio: ["ignore", "pipe", "ignore"],
  });
  await once(child.stdout, "data");
  return child;
}

test("what a former run left is ended, and nothing else", async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), "swell-records-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const grandchild = `require("child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1e9)"], { stdio: "ignore" }).on("spawn", () => console.log(1))`;
  const recorded = await stays({}, grandchild);
  const unrecorded = await stays({ [folderVariable]: folder });
  const reused = await stays({});
  t.teardown(() => reused.kill("SIGKILL"));
  const stat = (child: ChildProcess) => readStat(child.pid!)!;
  const tree = processTree(recorded.pid!).map((pid) => ({ pid, startTicks: readStat(pid)!.startTicks }));
  t.equal(tree.length, 2);
  const records = new ProcessRecords(folder);
  const record = { pid: recorded.pid!, startTicks: stat(recorded).startTicks, podUid: "u", container: "main" };
  records.add(record);
  records.add({ pid: reused.pid!, startTicks: "1", podUid: "u", container: "old" });
  const { startTicks } = stat(unrecorded);
  const reusedTicks = stat(reused).startTicks;

  const found = await new ProcessRecords(folder).endLeftovers();
  t.has(found.map(({ container }) => container).sort(), ["main", "old"]);
  t.notOk(
    tree.some((member) => isRunning(member.pid, member.startTicks)),
    "a recorded process and its children",
  );
  t.notOk(isRunning(unrecorded.pid!, startTicks), "one that was not recorded yet");
  t.ok(isRunning(reused.pid!, reusedTicks), "the pid is another's now");
  t.same(readdirSync(path.join(folder, "run")), []);
});

test("listening ports of processes", async (t) => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1 0 100 0 0 10 0
   1: 0100007F:A8B4 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  0 0 4712 1 0 20 4 30 10 -1`;
  t.same([...listeningInodes(table)], [["4711", 8080]]);
  const child = await stays({}, `require("net").createServer().listen(0, "127.0.0.1", () => console.log(1))`);
  t.teardown(() => child.kill("SIGKILL"));
  t.equal(listeningPorts([child.pid!])?.length, 1);
  t.same(listeningPorts([process.pid]), []);
});
