import { test } from "tap";
import type { Container, EnvVar, Pod } from "../../api/core.ts";
import { commandLine, containerEnvironment, expand, portOfEnvironment, type Sources } from "./environment.ts";

const pod: Pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "web", namespace: "shop", uid: "u-1", labels: { app: "web" }, annotations: { "a/b": 'say "hi"' } },
  spec: { serviceAccountName: "robot", containers: [] },
};
const place = {
  podIP: "127.93.0.1",
  hostIP: "127.0.0.1",
  nodeName: "local",
  allocatable: { cpuMillis: 64_000, memoryBytes: 2 ** 30, pods: 10 },
};
const sources: Sources = {
  configMaps: new Map([
    ["cm", { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "cm" }, data: { color: "blue" } }],
  ]),
  secrets: new Map([
    ["sec", { apiVersion: "v1", kind: "Secret", metadata: { name: "sec" }, data: { key: "aGlkZGVu" } }],
  ]),
};
const environmentOf = (container: Partial<Container>, forced: Record<string, string> = {}) =>
  containerEnvironment({
    pod,
    container: { name: "main", ...container },
    place,
    sources,
    base: { PATH: "/bin" },
    forced,
  });

test("expansion", (t) => {
  const rows: { name: string; text: string; want: string }[] = [
    { name: "replaces a known variable", text: "http://$(HOST)/", want: "http://h/" },
    { name: "leaves an unknown one", text: "$(NONE)", want: "$(NONE)" },
    { name: "unescapes a doubled dollar", text: "$$(HOST)", want: "$(HOST)" },
    { name: "leaves shell syntax alone", text: "$HOST ${HOST} $", want: "$HOST ${HOST} $" },
    { name: "does not expand what a value contains", text: "$(NESTED)", want: "$(HOST)" },
  ];
  for (const { name, text, want } of rows) t.equal(expand(text, { HOST: "h", NESTED: "$(HOST)" }), want, name);
  t.end();
});

test("a variable", (t) => {
  const rows: { name: string; env: EnvVar; want: string | undefined }[] = [
    { name: "sees those before it", env: { name: "X", value: "$(PATH):/x" }, want: "/bin:/x" },
    {
      name: "takes the pod's name",
      env: { name: "X", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      want: "web",
    },
    {
      name: "takes a label",
      env: { name: "X", valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
      want: "web",
    },
    {
      name: "takes the pod's address",
      env: { name: "X", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
      want: "127.93.0.1",
    },
    {
      name: "takes a ConfigMap's key",
      env: { name: "X", valueFrom: { configMapKeyRef: { name: "cm", key: "color" } } },
      want: "blue",
    },
    {
      name: "takes a Secret's key",
      env: { name: "X", valueFrom: { secretKeyRef: { name: "sec", key: "key" } } },
      want: "hidden",
    },
    {
      name: "stays unset when an optional source is missing",
      env: { name: "X", valueFrom: { secretKeyRef: { name: "none", key: "key", optional: true } } },
      want: undefined,
    },
    {
      name: "takes a limit in its divisor, rounded up",
      env: { name: "X", valueFrom: { resourceFieldRef: { resource: "limits.cpu", divisor: "1" } } },
      want: "2",
    },
    {
      name: "takes what the node offers where there is no limit",
      env: { name: "X", valueFrom: { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } } },
      want: "1024",
    },
  ];
  for (const { name, env, want } of rows)
    t.equal(environmentOf({ env: [env], resources: { limits: { cpu: "1500m" } } })["X"], want, name);
  t.end();
});

test("what is missing is named", (t) => {
  const rows: { env: EnvVar; want: string }[] = [
    {
      env: { name: "X", valueFrom: { configMapKeyRef: { name: "none", key: "k" } } },
      want: 'configmap "none" not found in namespace shop',
    },
    {
      env: { name: "X", valueFrom: { secretKeyRef: { name: "sec", key: "k" } } },
      want: "couldn't find key k in Secret shop/sec",
    },
    {
      env: { name: "X", valueFrom: { fieldRef: { fieldPath: "spec.color" } } },
      want: "unsupported fieldPath: spec.color",
    },
  ];
  for (const { env, want } of rows) t.throws(() => environmentOf({ env: [env] }), { message: want });
  t.end();
});

test("envFrom comes first, and the node has the last word", (t) => {
  const env = environmentOf(
    {
      envFrom: [{ prefix: "P_", configMapRef: { name: "cm" } }],
      env: [
        { name: "PORT", value: "8080" },
        { name: "URL", value: "http://localhost:$(PORT)/$(P_color)" },
      ],
    },
    { PORT: "12000" },
  );
  t.match(env, { P_color: "blue", PORT: "12000", URL: "http://localhost:12000/blue" });
  t.end();
});

test("PORT counts as mapped only when it is a port of the container", (t) => {
  const ports = [{ containerPort: 8080 }];
  t.equal(portOfEnvironment({ name: "c", ports, env: [{ name: "PORT", value: "8080" }] }), 8080);
  t.equal(portOfEnvironment({ name: "c", ports, env: [{ name: "PORT", value: "9000" }] }), undefined);
  t.equal(portOfEnvironment({ name: "c", ports }), undefined);
  t.end();
});

test("a command replaces the image's, arguments follow it", (t) => {
  const image = { command: ["node", "app.js"] };
  t.same(commandLine(image, { name: "c" }, {}), ["node", "app.js"]);
  t.same(commandLine(image, { name: "c", args: ["$(X)"] }, { X: "1" }), ["node", "app.js", "1"]);
  t.same(commandLine(image, { name: "c", command: ["sh"], args: ["-c", "true"] }, {}), ["sh", "-c", "true"]);
  t.end();
});
