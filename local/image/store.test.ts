import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type Test } from "tap";
import { splitCommandLine } from "./command-line.ts";
import { ImageStore } from "./store.ts";

function fresh(t: Test): { data: string; app: string; store: ImageStore } {
  const data = mkdtempSync(path.join(tmpdir(), "swell-images-"));
  t.teardown(() => rmSync(data, { recursive: true }));
  const app = path.join(data, "app");
  mkdirSync(app);
  writeFileSync(path.join(app, "app.js"), "1");
  return { data, app, store: new ImageStore(path.join(data, "images")) };
}
const command = ["node", "app.js"];

test("an image is found by name, tag and digest", (t) => {
  const { app, store } = fresh(t);
  const latest = store.add({ name: "team/shop", directory: app, command });
  const second = store.add({ name: "dev.local/team/shop:v2", directory: app, command: ["node", "other.js"] });
  const rows: { image: string; want: string | undefined }[] = [
    { image: "dev.local/team/shop", want: latest.name },
    { image: "dev.local/team/shop:latest", want: latest.name },
    { image: "dev.local/team/shop:v2", want: second.name },
    { image: `dev.local/team/shop@${second.digest}`, want: second.name },
    { image: `dev.local/other@${second.digest}`, want: undefined },
    { image: "dev.local/team/shop:v3", want: undefined },
    { image: "team/shop", want: undefined },
  ];
  for (const { image, want } of rows) t.equal(store.resolve(image)?.name, want, image);
  t.same(
    store.list().map(({ name }) => name),
    ["dev.local/team/shop:latest", "dev.local/team/shop:v2"],
  );
  t.ok(store.remove("team/shop"));
  t.notOk(store.remove("team/shop"));
  t.equal(store.resolve("dev.local/team/shop"), undefined);
  t.end();
});

test("the digest follows the content", (t) => {
  const { app, store } = fresh(t);
  const { digest } = store.add({ name: "shop", directory: app, command });
  t.equal(store.add({ name: "shop", directory: app, command }).digest, digest);
  writeFileSync(path.join(app, "app.js"), "2");
  t.not(store.add({ name: "shop", directory: app, command }).digest, digest);
  t.match(store.explainMissing(`dev.local/shop@${digest}`), /dev\.local\/shop:latest has digest sha256:/);
  t.end();
});

test("mistakes are named", (t) => {
  const { app, store } = fresh(t);
  t.throws(() => store.add({ name: "Shop", directory: app, command }), { message: /^bad image name "Shop"/ });
  t.throws(() => store.add({ name: "../x", directory: app, command }), { message: /^bad image name/ });
  t.throws(() => store.add({ name: "x", directory: `${app}/none`, command }), { message: /does not exist$/ });
  t.throws(() => store.add({ name: "x", directory: `${app}/app.js`, command }), { message: /is not a directory$/ });
  t.throws(() => store.add({ name: "x", directory: app, command: [] }), { message: /^the command is empty/ });
  t.end();
});

test("who watches the store hears of another process's change", async (t) => {
  const { app, store } = fresh(t);
  const stop = new AbortController();
  t.teardown(() => stop.abort());
  const heard = new Promise<void>((resolve) => store.onChange(resolve, stop.signal));
  new ImageStore(store.folder).add({ name: "shop", directory: app, command });
  const keepsLoopAlive = setTimeout(() => {}, 60_000);
  await heard;
  clearTimeout(keepsLoopAlive);
});

test("a command line is split as a shell splits it", (t) => {
  const rows: [string, string[]][] = [
    ["node app.js", ["node", "app.js"]],
    [`  sh -c 'echo "$PORT"'  `, ["sh", "-c", 'echo "$PORT"']],
    [`a "b \\" c" d\\ e ''`, ["a", 'b " c', "d e", ""]],
  ];
  for (const [line, want] of rows) t.same(splitCommandLine(line), want, line);
  t.throws(() => splitCommandLine("sh 'x"), { message: "the command has an open '" });
  t.end();
});

test("the command line tool", (t) => {
  const { data, app } = fresh(t);
  const image = (...args: string[]) =>
    spawnSync(process.execPath, [path.join(import.meta.dirname, "main.ts"), ...args, "--data", data], {
      encoding: "utf8",
      env: { ...process.env, INIT_CWD: data },
    });
  t.match(image("add", "shop", "./app", "--cmd", "node app.js", "--env", "A=b=c"), {
    status: 0,
    stdout: /^dev\.local\/shop  sha256:/,
  });
  t.match(image("list").stdout, new RegExp(`dev\\.local/shop +sha256:[0-9a-f]{12} +node app\\.js +${app}`));
  t.match(image("add", "shop", "none", "--cmd", "x"), {
    status: 1,
    stderr: /^error: directory .*none does not exist\n$/,
  });
  t.match(image("add", "shop", "app"), { status: 1, stderr: /required option '--cmd <command>'/ });
  t.match(image("rm", "shop"), { status: 0, stdout: "removed shop\n" });
  t.match(image("rm", "shop"), { status: 1, stderr: 'error: there is no image "shop"\n' });
  t.equal(image("list").stdout, "no images\n");
  t.end();
});
