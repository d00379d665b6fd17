/** What the ConfigMaps say may be set is what the parsers read, with the values they have anyway. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "tap";
import { parse, parseAllDocuments } from "yaml";
import type { ConfigMap } from "../api/core.ts";
import { configMapName, configParsers, type ConfigName } from "../controller/config/store.ts";
import { admitConfigMap } from "../controller/webhook/admission.ts";

const shipped = parseAllDocuments(readFileSync(path.join(import.meta.dirname, "core/300-config.yaml"), "utf8")).map(
  (document) => document.toJS() as ConfigMap,
);
const parsers = configParsers("cluster.local");

/** Spellings of older installations, which nobody should learn. */
const legacy = new Set(["ingress.class", "certificate.class", "auto-tls", "internal-encryption"]);
const isLegacy = (key: string): boolean => legacy.has(key) || (/[A-Z]/u.test(key) && !key.startsWith("loglevel"));

/** Functions are compared by what they answer. */
function comparable(config: object): unknown {
  const sample = { Name: "n", Namespace: "ns", Domain: "d.com", Tag: "t", Labels: {}, Annotations: {} };
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      typeof value === "function" ? (value as (argument: object) => unknown)(sample) : value,
    ]),
  );
}

test("every ConfigMap is there", (t) => {
  const names = Object.keys(parsers).map((name) => configMapName(name as ConfigName));
  t.same(new Set(shipped.map(({ metadata }) => metadata.name)), new Set([...names, "config-tracing"]));
  t.equal(shipped.length, names.length + 1);
  t.end();
});

for (const [name, parser] of Object.entries(parsers)) {
  const configMap = shipped.find(({ metadata }) => metadata.name === configMapName(name as ConfigName))!;
  const example = parse(configMap.data?.["_example"] ?? "") as Record<string, string>;

  test(`${configMap.metadata.name}: each value that is shown is the default`, (t) => {
    const required = { "queue-sidecar-image": example["queue-sidecar-image"] ?? "" };
    const stock = comparable(parser(name === "deployment" ? required : {}));
    for (const [key, value] of Object.entries(example)) {
      t.type(value, "string", `${key} is a text, as ConfigMaps have it`);
      t.same(comparable(parser({ ...(name === "deployment" ? required : {}), [key]: value })), stock, key);
    }
    t.same(comparable(parser(example)), stock, "all of them together");
    t.end();
  });

  test(`${configMap.metadata.name}: each key that is read is shown`, (t) => {
    const read = new Set<string>();
    const spying = new Proxy<Record<string, string>>(name === "deployment" ? { "queue-sidecar-image": "x" } : {}, {
      get: (target, key) => {
        if (typeof key === "string") read.add(key);
        return Reflect.get(target, key) as unknown;
      },
    });
    parser(spying);
    t.same(
      [...read].filter((key) => !(key in example) && !isLegacy(key)),
      [],
    );
    t.end();
  });

  test(`${configMap.metadata.name}: the webhook takes it as it is shipped, and guards the example`, (t) => {
    const ask = (object: ConfigMap) =>
      admitConfigMap({ uid: "1", operation: "UPDATE", object } as never, "cluster.local");
    t.equal(ask(configMap).allowed, true);
    const edited = { ...configMap, data: { ...configMap.data, _example: `${configMap.data?.["_example"]}\nx: "1"` } };
    t.equal(ask(edited).allowed, false);
    t.end();
  });
}
