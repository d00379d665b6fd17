import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "tap";
import { parse } from "yaml";
import type { KubeObject } from "../../../api/meta.ts";
import { createKindRegistry } from "./index.ts";
import { openApiV2, openApiV2Protobuf, openApiV3, openApiV3Index } from "./openapi.ts";

type Json = Record<string, unknown>;
const folder = new URL("../../../manifests/crds/", import.meta.url);

function servedRegistry() {
  const registry = createKindRegistry();
  for (const file of readdirSync(folder)) {
    const problems = registry.putCrd(parse(readFileSync(new URL(file, folder), "utf8")) as KubeObject);
    if (problems.length > 0) throw new Error(`${file}: ${JSON.stringify(problems)}`);
  }
  return registry;
}

/** References that lead nowhere. */
function brokenReferences(document: unknown): string[] {
  const broken: string[] = [];
  const walk = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === "$ref" && typeof inner === "string") {
        const found = inner
          .slice(2)
          .split("/")
          .reduce<unknown>((at, step) => (at as Json | undefined)?.[step], document);
        if (found === undefined) broken.push(inner);
      } else walk(inner);
    }
  };
  walk(document);
  return broken;
}

test("version 3 describes every group and version that is served", (t) => {
  const registry = servedRegistry();
  const { paths } = openApiV3Index(registry) as { paths: Record<string, { serverRelativeURL: string }> };
  for (const { resource } of registry.all()) {
    const path = resource.group === "" ? `api/${resource.version}` : `apis/${resource.group}/${resource.version}`;
    t.match(paths[path]?.serverRelativeURL, new RegExp(`^/openapi/v3/${path}\\?hash=[0-9A-F]{32}$`));
    t.same(brokenReferences(openApiV3(registry, path)), [], `${path} is complete`);
  }
  t.throws(() => openApiV3(registry, "apis/no/v1"), RangeError);
  t.end();
});

test("version 3 says what kubectl looks for", (t) => {
  const registry = servedRegistry();
  const { paths, components } = openApiV3(registry, "serving.knative.dev/v1") as {
    paths: Record<string, Record<string, Json & { parameters: Json[] }>>;
    components: { schemas: Record<string, Json> };
  };
  const kind = { group: "serving.knative.dev", version: "v1", kind: "Service" };
  const one = paths["/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}"];
  t.match(one?.["patch"], { "x-kubernetes-group-version-kind": kind, "x-kubernetes-action": "patch" });
  t.ok(one?.["patch"]?.parameters.some(({ name, in: place }) => name === "fieldValidation" && place === "query"));
  t.same(components.schemas["dev.knative.serving.v1.Service"]?.["x-kubernetes-group-version-kind"], [kind]);
  t.end();
});

test("a changed set of kinds changes the hash", (t) => {
  const registry = servedRegistry();
  const before = openApiV3Index(registry);
  registry.removeCrd("services.serving.knative.dev");
  t.notSame(openApiV3Index(registry), before);
  t.end();
});

test("version 2 carries merge keys, and leaves open what it cannot say", (t) => {
  const document = openApiV2(servedRegistry()) as { definitions: Record<string, { properties: Record<string, Json> }> };
  t.same(brokenReferences(document), []);
  t.match(document.definitions["io.k8s.api.core.v1.PodSpec"]?.properties["containers"], {
    type: "array",
    "x-kubernetes-patch-merge-key": "name",
    "x-kubernetes-patch-strategy": "merge",
  });
  t.same(document.definitions["io.k8s.api.apps.v1.DeploymentSpec"]?.properties["strategy"], {
    $ref: "#/definitions/io.k8s.api.apps.v1.DeploymentStrategy",
    "x-kubernetes-patch-strategy": "retainKeys",
  });
  t.end();
});

/** Field number to contents, for messages of length-delimited fields. */
function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array[]>();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (wire === WireType.LengthDelimited) fields.set(number, [...(fields.get(number) ?? []), reader.bytes()]);
    else reader.skip(wire);
  }
  return fields;
}

test("the protobuf form holds the same definitions, in order", (t) => {
  const registry = servedRegistry();
  const document = fieldsOf(openApiV2Protobuf(registry));
  const names = (fieldsOf(document.get(9)?.[0] ?? new Uint8Array()).get(1) ?? []).map((one) =>
    Buffer.from(fieldsOf(one).get(1)?.[0] ?? []).toString(),
  );
  t.equal(Buffer.from(document.get(1)?.[0] ?? []).toString(), "2.0");
  t.same(names, Object.keys((openApiV2(registry) as { definitions: object }).definitions));
  t.end();
});
