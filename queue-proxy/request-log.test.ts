import { test } from "tap";
import { get, raw, startApp, startSidecar, unobserved } from "./fixture.ts";

test("the request log of the sidecar", async (t) => {
  const userPort = await startApp(t, (_incoming, outgoing) => outgoing.end("ok"));
  const stdout: string[] = [];
  const write = process.stdout.write.bind(process.stdout);
  // What the sidecar writes, without tap's own lines.
  process.stdout.write = (chunk: string | Uint8Array): boolean =>
    String(chunk).startsWith("LOG ") ? stdout.push(String(chunk)) > 0 : write(chunk);
  t.teardown(() => {
    process.stdout.write = write;
  });
  const template = "LOG {{.Request.RequestURI}} {{.Response.Code}}";
  const probe = get("/probe", "K-Network-Probe: probe\r\nK-Network-Hash: x\r\n");
  for (const [name, probes, want] of [
    ["probes are left out", false, ["LOG /request 200\n"]],
    ["unless they are asked for", true, ["LOG /probe 200\n", "LOG /request 200\n"]],
  ] as const)
    await t.test(name, async (t) => {
      stdout.length = 0;
      const observability = { ...unobserved, requestLog: { template, probes } };
      const { port } = await startSidecar(t, { userPort, observability });
      await raw(port, probe);
      await raw(port, get("/request"));
      t.strictSame(stdout, want);
    });
  await t.test("a template that cannot be parsed turns the log off, and says so", async (t) => {
    stdout.length = 0;
    const observability = { ...unobserved, requestLog: { template: "{{.Request", probes: false } };
    const { port, lines } = await startSidecar(t, { userPort, observability });
    t.match(await raw(port, get("/")), /^HTTP\/1\.1 200 /);
    t.ok(lines.some((line) => line.includes("unclosed action") && line.includes("requests are not logged")));
    t.strictSame(stdout, []);
  });
});
