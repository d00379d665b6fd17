import { test } from "tap";
import type { Pod, Volume } from "../../api/core.ts";
import { mountMap, volumeFiles, volumeSources } from "./volumes.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", labels: { app: "web", tier: "front" } },
  spec: { containers: [{ name: "main" }] },
};
const object = { apiVersion: "v1", metadata: {} };
const input = {
  pod,
  place: {
    podIP: "127.9.0.1",
    hostIP: "127.0.0.1",
    nodeName: "local",
    allocatable: { cpuMillis: 1, memoryBytes: 1, pods: 1 },
  },
  sources: {
    configMaps: new Map([
      ["cm", { ...object, kind: "ConfigMap", data: { a: "1", b: "2" }, binaryData: { c: "AP8=" } }],
    ]),
    secrets: new Map([["sec", { ...object, kind: "Secret", data: { key: "aGlkZGVu" } }]]),
  },
  token: () => "TOKEN",
};
const filesOf = (volume: Omit<Volume, "name">): Record<string, string> =>
  Object.fromEntries(
    volumeFiles({ name: "v", ...volume }, input).map((file) => [
      file.path,
      Buffer.from(file.content).toString("latin1"),
    ]),
  );

test("what volumes hold", (t) => {
  const rows: { name: string; volume: Omit<Volume, "name">; want: Record<string, string> }[] = [
    { name: "a ConfigMap's keys", volume: { configMap: { name: "cm" } }, want: { a: "1", b: "2", c: "\u0000\u00ff" } },
    {
      name: "chosen keys",
      volume: { configMap: { name: "cm", items: [{ key: "a", path: "x/y" }] } },
      want: { "x/y": "1" },
    },
    { name: "a Secret's keys", volume: { secret: { secretName: "sec" } }, want: { key: "hidden" } },
    { name: "nothing of an optional one", volume: { secret: { secretName: "none", optional: true } }, want: {} },
    { name: "an empty folder", volume: { emptyDir: {} }, want: {} },
    {
      name: "several sources in one",
      volume: {
        projected: {
          sources: [
            { serviceAccountToken: { path: "token" } },
            { configMap: { name: "cm", items: [{ key: "b", path: "b" }] } },
            { downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } },
          ],
        },
      },
      want: { token: "TOKEN", b: "2", labels: 'app="web"\ntier="front"' },
    },
  ];
  for (const { name, volume, want } of rows) t.same(filesOf(volume), want, name);
  t.throws(() => filesOf({ configMap: { name: "none" } }), { message: 'configmap "none" not found in namespace shop' });
  t.throws(() => filesOf({ secret: { secretName: "sec", items: [{ key: "x", path: "x" }] } }), {
    message: 'secret "sec" has no key x',
  });
  t.throws(() => filesOf({ csi: {} }), { message: /no volumes of type csi/ });
  t.end();
});

test("where a container finds its mounts, and what has to be read for them", (t) => {
  const folders = new Map([["v", "/node/v"]]);
  const container = {
    name: "main",
    volumeMounts: [
      { name: "v", mountPath: "/etc/v" },
      { name: "v", mountPath: "/etc/one", subPathExpr: "$(NAME)" },
    ],
  };
  t.equal(mountMap(container, folders, { NAME: "one" }), "/etc/v=/node/v,/etc/one=/node/v/one");
  const volumes = [
    { name: "a", configMap: { name: "cm" } },
    { name: "b", projected: { sources: [{ secret: { name: "sec" } }] } },
  ];
  t.same(volumeSources({ ...pod, spec: { ...pod.spec, volumes } }), { configMaps: ["cm"], secrets: ["sec"] });
  t.end();
});
