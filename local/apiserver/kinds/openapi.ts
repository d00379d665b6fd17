/** The OpenAPI documents of everything that is served. Kept until the set of kinds changes. */
import { createHash } from "node:crypto";
import type { Kind, KindRegistry } from "../kind.ts";
import { pathItems, pathsJson } from "./openapi-paths.ts";
import { encodeOpenApiV2 } from "./openapi-protobuf.ts";
import { Definitions, documentPath } from "./openapi-schema.ts";

const info = { title: "Kubernetes", version: "v1.32.0" };

interface Documents {
  revision: number;
  v3: Map<string, { document: object; hash: string } | undefined>;
  v2: object | undefined;
  v2Protobuf: Uint8Array | undefined;
}
const kept = new WeakMap<KindRegistry, Documents>();

function documentsOf(registry: KindRegistry): Documents {
  const known = kept.get(registry);
  if (known?.revision === registry.revision) return known;
  const documents: Documents = { revision: registry.revision, v3: new Map(), v2: undefined, v2Protobuf: undefined };
  for (const kind of registry.all()) documents.v3.set(documentPath(kind.resource), undefined);
  kept.set(registry, documents);
  return documents;
}

/** Body of `/openapi/v3`: where each group and version is described. */
export function openApiV3Index(registry: KindRegistry): object {
  const paths: Record<string, object> = {};
  for (const path of documentsOf(registry).v3.keys()) {
    const hash = v3Of(registry, path)?.hash ?? "";
    paths[path] = { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` };
  }
  return { paths };
}

/**
 * Body of `/openapi/v3/api/v1` or `/openapi/v3/apis/GROUP/VERSION`. The group and version may be given as the path
 * says it or as in `apiVersion`. Throws RangeError for one that is not served.
 */
export function openApiV3(registry: KindRegistry, groupVersion: string): object {
  const path = /^apis?\//.test(groupVersion)
    ? groupVersion
    : `${groupVersion.includes("/") ? "apis" : "api"}/${groupVersion}`;
  const found = v3Of(registry, path);
  if (found === undefined) throw new RangeError(`no API ${groupVersion} is served`);
  return found.document;
}

function v3Of(registry: KindRegistry, path: string): { document: object; hash: string } | undefined {
  const { v3 } = documentsOf(registry);
  const known = v3.get(path);
  if (known !== undefined || !v3.has(path)) return known;
  const kinds = registry.all().filter((kind) => documentPath(kind.resource) === path);
  const definitions = new Definitions(3);
  for (const kind of kinds) definitions.addKind(kind);
  const document = {
    openapi: "3.0.0",
    info,
    paths: pathsJson(kinds.flatMap(pathItems), 3),
    components: { schemas: definitions.schemas },
  };
  const hash = createHash("sha256").update(JSON.stringify(document)).digest("hex").slice(0, 32).toUpperCase();
  const made = { document, hash };
  v3.set(path, made);
  return made;
}

/** Body of `/openapi/v2` as JSON. */
export function openApiV2(registry: KindRegistry): object {
  const documents = documentsOf(registry);
  documents.v2 ??= {
    swagger: "2.0",
    info,
    paths: pathsJson(registry.all().flatMap(pathItems), 2),
    definitions: definitionsOf(registry.all()),
  };
  return documents.v2;
}

/**
 * Content type of {@link openApiV2Protobuf}. Old clients ask for it with an `@` before `v1.0`, which is no valid
 * media type: they refuse an answer that repeats it.
 */
export const openApiV2ProtobufType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/** Body of `/openapi/v2` where the Accept header names `com.github.proto-openapi.spec.v2` and `+protobuf`. */
export function openApiV2Protobuf(registry: KindRegistry): Uint8Array {
  const documents = documentsOf(registry);
  documents.v2Protobuf ??= encodeOpenApiV2({
    info,
    paths: registry.all().flatMap(pathItems),
    definitions: definitionsOf(registry.all()),
  });
  return documents.v2Protobuf;
}

function definitionsOf(kinds: readonly Kind[]): Definitions["schemas"] {
  const definitions = new Definitions(2);
  for (const kind of kinds) definitions.addKind(kind);
  return definitions.schemas;
}
