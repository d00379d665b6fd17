import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "tap";
import { resolveHost, UnknownHostError } from "./resolve.ts";

test("names are looked up in the pod's file first, afresh each time", async (t) => {
  const file = path.join(t.testdir({}), "hosts");
  const env = { SWELL_HOSTS_FILE: file };
  t.strictSame(await resolveHost("10.1.2.3", env), ["10.1.2.3"]);
  await t.rejects(resolveHost("autoscaler.invalid", env), UnknownHostError, "a file that is not there yet");
  writeFileSync(
    file,
    "# addresses\n127.93.0.5 autoscaler.invalid\n127.93.0.6 autoscaler.invalid # second\n127.93.0.7 other.invalid\n",
  );
  t.strictSame(await resolveHost("autoscaler.invalid", env), ["127.93.0.5", "127.93.0.6"]);
  writeFileSync(file, "127.93.0.9 autoscaler.invalid\n");
  t.strictSame(await resolveHost("autoscaler.invalid", env), ["127.93.0.9"]);
});
