import { test } from "tap";
import type { ConfigMap } from "../api/core.ts";
import type { Change, Informer } from "../kube/informer.ts";
import { silentLogger } from "../process/logger.ts";
import { get, raw, startProxy } from "../proxy/fixture.ts";
import { requestLog } from "./request-log.ts";
import type { RevisionEntry } from "./revision-directory.ts";

const entry = {
  namespace: "default",
  name: "hello-00001",
  labels: { service: "hello", configuration: "hello" },
} as RevisionEntry;

test("the request log follows its ConfigMap", async (t) => {
  let tell: (change: Change<ConfigMap>) => void = () => undefined;
  const configMaps = {
    onChange: (listener: typeof tell) => {
      tell = listener;
      return () => undefined;
    },
  } as unknown as Informer<ConfigMap>;
  const lines: string[] = [];
  const warnings: unknown[] = [];
  const log = requestLog({
    configMaps,
    write: (line) => lines.push(line),
    log: { ...silentLogger, warn: (fields: unknown) => warnings.push(fields) } as typeof silentLogger,
  });
  const port = await startProxy(t, (exchange) => {
    log.observe(exchange, entry);
    exchange.answer(200, "ok");
  });
  const set = (data: Record<string, string>, name = "config-observability"): void =>
    tell({ is: "added", object: { metadata: { name, namespace: "knative-serving" }, data } as ConfigMap });
  const logged = async (): Promise<string[]> => {
    lines.length = 0;
    await raw(port, get("/a"));
    return lines.slice();
  };
  const enabled = { "logging.enable-request-log": "true" };
  const template = { "logging.request-log-template": "{{.Revision.Namespace}}/{{.Revision.Name}} {{.Response.Code}}" };

  t.strictSame(await logged(), [], "off before the ConfigMap is known");
  set(template);
  t.strictSame(await logged(), [], "off without the switch");
  set({ ...enabled, ...template });
  t.strictSame(await logged(), ["default/hello-00001 200\n"], "the operator's form");
  set({}, "config-network");
  t.equal((await logged()).length, 1, "other ConfigMaps change nothing");
  set({ ...enabled, "logging.request-log-template": "{{.Request" });
  t.strictSame(await logged(), ["default/hello-00001 200\n"], "a template that is none keeps the last good one");
  t.equal(warnings.length, 1, "and says so");
  set(enabled);
  t.match(await logged(), [/"requestUrl": "\/a".*"serverIp": "".*\n$/], "Knative's form when none is given");
  tell({ is: "deleted", object: { metadata: { name: "config-observability" } } as ConfigMap });
  t.strictSame(await logged(), [], "off when the ConfigMap is gone");
});
